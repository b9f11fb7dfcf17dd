// Bundles src/**/*.test.ts and runs them with node's own test runner.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const SRC = join(dirname(fileURLToPath(import.meta.url)), "src");
const tests = readdirSync(SRC, { recursive: true })
  .filter((path) => path.endsWith(".test.ts"))
  .map((path) => join(SRC, path));
const out = mkdtempSync(join(tmpdir(), "rain-frontend-"));
try {
  await esbuild.build({
    entryPoints: tests,
    bundle: true,
    platform: "node",
    format: "esm",
    outdir: out,
    outExtension: { ".js": ".mjs" },
    jsx: "automatic",
    jsxImportSource: "preact",
  });
  const built = readdirSync(out, { recursive: true }).filter((path) => path.endsWith(".mjs"));
  process.exitCode = spawnSync(process.execPath, ["--test", ...built.map((path) => join(out, path))], { stdio: "inherit" }).status;
} finally {
  rmSync(out, { recursive: true });
}
