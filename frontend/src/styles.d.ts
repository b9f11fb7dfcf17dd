// All style sheets below src, joined by the build.
declare module "rain:styles" {
  const text: string;
  export default text;
}
