// `npm run package`: builds one executable from dist/, its dependencies and Node.js: Node's single executable application.
// `-- --out FILE` names the file, `-- --target linux-arm64` takes the Node.js of another platform from the npm registry.
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import process from "node:process"
import { parseArgs } from "node:util"
import { gzipSync } from "node:zlib"
import { install, pack } from "./pack-install.mjs"
import { readJson, root } from "./project.mjs"
import { fail, run, say } from "./run.mjs"

/** Marks where postject may write, see the documentation of single executable applications. */
const fuse = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2"

/** Runs a script of the unpacked program; `import` works in a file, and not in the main script of an executable. */
const runScript = `"use strict"
const { join } = require("node:path")
const { pathToFileURL } = require("node:url")
const program = join(__dirname, "node_modules", "agentchat", "dist", "bin", "agentchat.js")
module.exports = (script = program) => import(pathToFileURL(script).href)
`

const { values } = parseArgs({
  options: { out: { type: "string" }, target: { type: "string" }, smoke: { type: "boolean" } },
})
const own = `${process.platform}-${process.arch}`
const target = values.target ?? own
const out = resolve(root, values.out ?? `build/agentchat-${target}`)
const folder = mkdtempSync(join(tmpdir(), "agentchat-package-"))

try {
  if (!/^(?:linux|darwin)-(?:x64|arm64)$/.test(target))
    fail(`unknown target "${target}"`, "linux-x64, linux-arm64, darwin-x64 or darwin-arm64", 2)
  const node = target === own ? process.execPath : fetchNode()
  const blob = makeBlob(packProgram())
  mkdirSync(dirname(out), { recursive: true })
  copyFileSync(node, out)
  chmodSync(out, 0o755)
  inject(blob)
  // An executable of another platform cannot be run here.
  if (
    values.smoke === true &&
    target === own &&
    run("node", ["scripts/pack-smoke.mjs", "--program", out]) !== 0
  )
    fail("the executable fails its test", "see above")
  say(`${out}: ${(statSync(out).size / 1024 / 1024).toFixed(1)} MiB`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Returns the files of the program: the package as a user installs it, with the native library of the target. */
function packProgram() {
  const place = join(folder, "program")
  mkdirSync(place)
  install(pack(folder), place)
  if (target !== own) fetchLibrary(place)
  writeFileSync(join(place, "run.cjs"), runScript)
  const names = readdirSync(place, { recursive: true, encoding: "utf8" }).filter(isNeeded).sort()
  const files = names.filter((name) => statSync(join(place, name)).isFile())
  const contents = files.map((name) => readFileSync(join(place, name)))
  const index = Buffer.from(JSON.stringify(files.map((name, i) => [name, contents[i]?.length])))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(index.length)
  return gzipSync(Buffer.concat([length, index, ...contents]), { level: 9 })
}

/** @param {string} name */
function isNeeded(name) {
  const isType = /\.d\.[cm]?ts$|\.map$/.test(name)
  const isOther = /^node_modules\/(?:\.|@types\/|undici-types\/)|^package(?:-lock)?\.json$/.test(name)
  const isMusl =
    target.startsWith("linux") && name.startsWith("node_modules/@libsql/") && name.includes("-musl/")
  return !isType && !isOther && !isMusl
}

/** @param {Buffer} program @returns {string} path of the data to inject */
function makeBlob(program) {
  const [packed, digest, blob] = ["program", "digest", "blob"].map((name) => join(folder, `${name}.bin`))
  if (packed === undefined || digest === undefined || blob === undefined) throw new Error("no paths")
  writeFileSync(packed, program)
  writeFileSync(digest, createHash("sha256").update(program).digest("hex"))
  const config = join(folder, "sea.json")
  const settings = {
    main: join(root, "scripts", "binary-main.cjs"),
    output: blob,
    disableExperimentalSEAWarning: true,
    // A code cache is of one platform and version of Node.js.
    useCodeCache: target === own,
    assets: { program: packed, digest },
  }
  writeFileSync(config, JSON.stringify(settings))
  execFileSync(process.execPath, ["--experimental-sea-config", config], { stdio: "pipe" })
  return blob
}

/** @param {string} blob */
function inject(blob) {
  const postject = join(root, "node_modules", "postject", "dist", "cli.js")
  const segment = target.startsWith("darwin") ? ["--macho-segment-name", "NODE_SEA"] : []
  execFileSync(
    process.execPath,
    [postject, out, "NODE_SEA_BLOB", blob, "--sentinel-fuse", fuse, ...segment],
    {
      stdio: "pipe",
    },
  )
}

/** Returns the path of Node.js for another platform, of the version that runs this script. */
function fetchNode() {
  const name = target.startsWith("darwin") ? `node-bin-${target}` : `node-${target}`
  const place = join(folder, "node")
  addPackage(place, `${name}@${process.versions.node.split(".", 1)[0]}`)
  const file = join(place, "node_modules", name, "bin", "node")
  return existsSync(file) ? file : fail(`${name} has no bin/node`, "choose another target")
}

/** @param {string} place - of the program */
function fetchLibrary(place) {
  const library = `@libsql/${target}${target.startsWith("linux") ? "-gnu" : ""}`
  const { version } = /** @type {{ version: string }} */ (readJson("node_modules/libsql/package.json"))
  const other = join(folder, "library")
  addPackage(other, `${library}@${version}`)
  rmSync(join(place, "node_modules/@libsql"), { recursive: true, force: true })
  mkdirSync(join(place, "node_modules", library), { recursive: true })
  for (const name of readdirSync(join(other, "node_modules", library)))
    copyFileSync(join(other, "node_modules", library, name), join(place, "node_modules", library, name))
}

/** @param {string} place @param {string} spec - of a package for another platform */
function addPackage(place, spec) {
  mkdirSync(place)
  writeFileSync(join(place, "package.json"), "{}")
  const quiet = ["--force", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
  execFileSync("npm", ["install", ...quiet, spec], { cwd: place, stdio: ["ignore", "ignore", "inherit"] })
}
