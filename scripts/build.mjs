// Compiles bin/ and src/ into dist/, and copies what the web page has besides its modules; with --if-stale only if they changed since the last build. It does not check types,
// which takes as long again: `npm run types` does.
// The new dist/ replaces the old one by rename, so a failed build leaves the old one in place and a
// program that is running from it never finds it half empty.
import { createHash } from "node:crypto"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import process from "node:process"
import { writeManPage } from "./man.mjs"
import { readJson, root } from "./project.mjs"
import { fail, run, say } from "./run.mjs"

const dist = join(root, "dist")
const stampName = ".stamp"

const stamp = hashSources()
if (!process.argv.includes("--if-stale") || stamp !== readStamp()) await build()

/** Hashes the inputs of dist/ by content, because a checkout changes the times of all files. */
function hashSources() {
  const hash = createHash("sha256")
  const configs = ["package-lock.json", "tsconfig.build.json", "tsconfig.json"]
  for (const path of [...configs, ...listFiles("bin"), ...listFiles("src")]) {
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update("\0")
  }
  return hash.digest("hex")
}

/** @param {string} folder */
function listFiles(folder) {
  const entries = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
  const paths = entries.map((name) => join(folder, name))
  return paths.filter((path) => /\.(?:ts|js|html|css|svg|json)$/.test(path)).sort()
}

/**
 * Removes the declarations that no user of the package can import: `exports` names src/index.d.ts only.
 * @param {string} folder
 */
function removeUnreachableTypes(folder) {
  const reachable = new Set([join(folder, "src", "index.d.ts")])
  for (const path of reachable) {
    const imports = readFileSync(path, "utf8").matchAll(/(?:from |import\()"(\.[^"]+)\.js"/g)
    for (const [, target = ""] of imports) reachable.add(join(dirname(path), `${target}.d.ts`))
  }
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const path = join(folder, name)
    if (name.endsWith(".d.ts") && !reachable.has(path)) rmSync(path)
  }
}

/**
 * Copies the files of the web page that the compiler leaves out.
 * @param {string} folder
 */
function copyPageFiles(folder) {
  const page = join("src", "web", "page")
  for (const path of listFiles(page)) {
    if (/\.[jt]s$|tsconfig\.json$/.test(path)) continue
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    copyFileSync(join(root, path), join(folder, path))
  }
}

function readStamp() {
  const path = join(dist, stampName)
  return existsSync(path) ? readFileSync(path, "utf8") : undefined
}

async function build() {
  say("building …")
  const fresh = `${dist}-${process.pid}`
  const old = `${fresh}-old`
  const status = run("tsc", ["-p", "tsconfig.build.json", "--noCheck", "--outDir", fresh])
  if (status === 0) {
    removeUnreachableTypes(fresh)
    copyPageFiles(fresh)
    const { version } = /** @type {{ version: string }} */ (readJson("package.json"))
    await writeManPage(fresh, version)
    chmodSync(join(fresh, "bin", "agentchat.js"), 0o755)
    writeFileSync(join(fresh, stampName), stamp)
    if (existsSync(dist)) renameSync(dist, old)
    renameSync(fresh, dist)
  }
  for (const path of [fresh, old]) rmSync(path, { recursive: true, force: true })
  if (status !== 0) fail("the build failed", "correct the errors above, then try again")
}
