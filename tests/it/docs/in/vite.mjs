// A configuration of Vite, as a file, for the application that earlier blocks put into app/. The library comes as npm packs
// it; types are checked; what is built goes where the server hands it out, as /app.js. The component for Vue is built with it.

import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = process.env.ENCKE_ROOT;
const installed = join(root, ".test-deps/bundlers/node_modules");
const app = resolve("app");
const modules = join(app, "node_modules");
const run = (program, args, options) => execFileSync(program, args, { cwd: app, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], ...options });

copyFileSync(process.argv[2], join(app, "vite.config.mjs"));
mkdirSync(modules, { recursive: true });
for (const name of readdirSync(installed)) symlinkSync(join(installed, name), join(modules, name));
// Packed and unpacked, so that what the package leaves out is missing here too.
const [{ filename }] = JSON.parse(run("npm", ["pack", "--json", "--offline", "--silent", join(root, "web/client")]));
run("tar", ["-xzf", filename]);
cpSync(join(app, "package"), join(modules, "encke-client"), { recursive: true });
rmSync(join(app, "package"), { recursive: true });

writeFileSync(join(app, "tsconfig.json"), JSON.stringify({
  compilerOptions: {
    target: "es2022", lib: ["es2022", "dom", "dom.iterable"], module: "esnext", moduleResolution: "bundler", jsx: "react-jsx", strict: true,
    noEmit: true, skipLibCheck: true, types: [],
  },
  include: ["src/*.ts", "src/*.tsx"],
}));
try {
  run(join(root, ".test-deps/web/node_modules/.bin/tsc"), ["--project", "."]);
} catch ({ stdout }) {
  throw new Error(`types: ${stdout}`);
}

writeFileSync(join(app, "index.html"), '<div id="app"></div><script type="module" src="/src/main.tsx"></script>');
// A second page, so that Vue is built and not only copied.
writeFileSync(join(app, "src/vue.ts"), 'import { createApp } from "vue";\nimport News from "./News.vue";\ncreateApp(News).mount("#app");\n');
writeFileSync(join(app, "vue.html"), '<div id="app"></div><script type="module" src="/src/vue.ts"></script>');
const vite = join(modules, "vite/bin/vite.js");
for (const [page, target] of [["index.html", "app.js"], ["vue.html", "vue.js"]]) {
  const own = `import config from "./vite.config.mjs";\nexport default { ...config, build: { ...config.build, rollupOptions: { input: "${page}" } } };\n`;
  writeFileSync(join(app, "of-a-page.config.mjs"), own);
  run("node", [vite, "build", "--config", "of-a-page.config.mjs", "--logLevel", "warn"]);
  const scripts = readdirSync(join(app, "dist/assets")).filter((name) => name.endsWith(".js"));
  const [script, ...more] = scripts.filter((name) => !name.startsWith("encke-http-"));
  if (!script || more.length) throw new Error(`${page}: one script was expected, there are ${[script, ...more]}`);
  // The second part of the library, which the first one loads where WebSocket does not get through.
  const [second] = scripts.filter((name) => name.startsWith("encke-http-"));
  const text = readFileSync(join(app, "dist/assets", script), "utf8");
  if (!text.includes("subscription2")) throw new Error(`${page}: the library is not in the bundle`);
  if (!second || !text.includes(second)) throw new Error(`${page}: the library's second part is not beside the bundle`);
  mkdirSync(resolve("static/assets"), { recursive: true });
  copyFileSync(join(app, "dist/assets", second), resolve("static/assets", second));
  writeFileSync(resolve("static", target), text);
}
