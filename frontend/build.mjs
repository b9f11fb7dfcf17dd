// Builds rain/notebook/static (or the folder given): `node build.mjs [folder]`.

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { smallProgram } from "./graphviz.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const OUT = process.argv[2] ?? join(HERE, "..", "rain", "notebook", "static");
const GRAPHVIZ = join(HERE, "node_modules", "@hpcc-js", "wasm-graphviz");
const PREACT = join(HERE, "node_modules", "preact");

// Ways by which data could become markup or a program; the last one is an attribute in JSX.
const NEVER =
  /\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|dangerouslySetInnerHTML=|eval\(|new Function)|\.(href|src|srcdoc)\s*=[^=]|\s(href|src|srcdoc|action|formAction)=[{"]/;

function files(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)]))
    .sort();
}

const name = (path) => relative(HERE, path).split(sep).join("/");

// The same for the same sources wherever they lie; tests/unit/notebook/test_static.py computes it too.
function digest() {
  const whole = createHash("sha256");
  const paths = [...files(join(HERE, "src")).map(name), "build.mjs", "graphviz.mjs", "licenses.txt", "package-lock.json", "tsconfig.json"];
  for (const path of paths.filter((path) => !path.endsWith(".test.ts")).sort()) {
    whole.update(`${path}\0${createHash("sha256").update(readFileSync(join(HERE, path))).digest("hex")}\n`);
  }
  return whole.digest("hex");
}

function check() {
  for (const path of files(join(HERE, "src"))) {
    if (!/\.tsx?$/.test(path) || path.endsWith(".test.ts")) continue;
    const lines = readFileSync(path, "utf8").split("\n");
    lines.forEach((line, i) => {
      if (NEVER.test(line)) throw new Error(`${name(path)}:${i + 1}: markup from text is not made here: ${line.trim()}`);
    });
  }
}

function licences() {
  const licence = (folder) => readFileSync(join(folder, "LICENSE"), "utf8").trimEnd();
  const version = (folder) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version;
  return readFileSync(join(HERE, "licenses.txt"), "utf8")
    .replace("{PREACT_VERSION}", version(PREACT))
    .replace("{GRAPHVIZ_VERSION}", version(GRAPHVIZ))
    .replace("{APACHE}", () => licence(GRAPHVIZ))
    .replace("{PREACT}", () => licence(PREACT));
}

// Preact can make markup of a text where a component asks for it (`dangerouslySetInnerHTML`). None here does, and it
// shall not be possible: the property that Preact sets becomes one that means nothing to a browser.
const withoutMarkup = {
  name: "without-markup",
  setup(build) {
    build.onLoad({ filter: /[\\/]preact[\\/]dist[\\/]preact\.mjs$/ }, ({ path }) => {
      const whole = readFileSync(path, "utf8");
      const contents = whole.replace(/\.innerHTML\b/g, ".rainMarkup");
      if (contents === whole || contents.includes("innerHTML")) throw new Error(`${path} makes markup in a way that is not known here`);
      return { contents, loader: "js" };
    });
  },
};

// The module "rain:styles" is the text of all style sheets below src.
const styles = {
  name: "styles",
  setup(build) {
    build.onResolve({ filter: /^rain:styles$/ }, ({ path }) => ({ path, namespace: "styles" }));
    build.onLoad({ filter: /.*/, namespace: "styles" }, async () => {
      const sheets = files(join(HERE, "src")).filter((path) => path.endsWith(".css"));
      const contents = sheets.map((path) => readFileSync(path, "utf8")).join("\n");
      const { code } = await esbuild.transform(contents, { loader: "css", minify: true, target: common.target });
      return { contents: code, loader: "text", watchFiles: sheets };
    });
  },
};

check();
const sources = digest();
const common = {
  absWorkingDir: HERE,
  bundle: true,
  minify: true,
  legalComments: "none",
  target: ["chrome109", "firefox115", "safari16.4"],
  jsx: "automatic",
  jsxImportSource: "preact",
  plugins: [styles, withoutMarkup, smallProgram],
  banner: { js: `/* rain.notebook, built from sources ${sources} */` },
  logLevel: "warning",
};
mkdirSync(OUT, { recursive: true });
const out = (file) => join(OUT, file);
await esbuild.build({ ...common, entryPoints: ["src/loader.ts"], format: "esm", outfile: out("loader.js") });
await esbuild.build({ ...common, entryPoints: ["src/app.ts"], format: "esm", outfile: out("app.js") });
await esbuild.build({
  ...common,
  entryPoints: ["src/graph/worker.ts"],
  format: "iife",
  outfile: out("graphviz.js"),
  // Emscripten can get a program from the network; here it lies in the file, and nothing is to be got.
  define: { XMLHttpRequest: "undefined", "globalThis.XMLHttpRequest": "undefined", fetch: "undefined" },
});
writeFileSync(out("LICENSES.txt"), licences());
const built = ["app.js", "graphviz.js", "loader.js"].map((file) => [
  file,
  createHash("sha256").update(readFileSync(out(file))).digest("hex"),
]);
const description = { sources, esbuild: esbuild.version, files: Object.fromEntries(built) };
writeFileSync(out("build.json"), JSON.stringify(description, null, 2) + "\n");
