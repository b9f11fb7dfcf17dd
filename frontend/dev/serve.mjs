// `npm run dev`: the widgets with made-up graphs, without a kernel. ?nodes=200&theme=dark&views=2&live=0
import { spawnSync } from "node:child_process";
import { cpSync, createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const OUT = join(HERE, "out");
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".json": "application/json" };

const built = spawnSync(process.execPath, [join(HERE, "..", "build.mjs"), join(OUT, "static")], { stdio: "inherit" });
if (built.status) process.exit(built.status);
await esbuild.build({ entryPoints: [join(HERE, "page.ts")], bundle: true, format: "esm", outfile: join(OUT, "page.js") });
cpSync(join(HERE, "index.html"), join(OUT, "index.html"));

const server = createServer((request, response) => {
  const path = new URL(request.url, "http://x").pathname;
  const file = join(OUT, path === "/" ? "index.html" : path);
  if (!file.startsWith(OUT) || !existsSync(file)) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "cache-control": "no-store" });
  createReadStream(file).pipe(response);
});
server.listen(Number(process.env["PORT"] ?? 0), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
