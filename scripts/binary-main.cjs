// The main script of the single executable: unpacks the program into a directory of the user, once, and runs it there,
// because worker threads, the native library of the store and `import` need files.
/* oxlint-disable typescript/no-require-imports -- the main script of an executable is CommonJS */
"use strict"
const fs = require("node:fs")
const { createRequire } = require("node:module")
const os = require("node:os")
const path = require("node:path")
const { getRawAsset } = require("node:sea")

const self = process.execPath
const digest = asset("digest").toString("utf8")
const root = findRoot()
const [first, ...others] = process.argv.slice(2)
// The program starts itself as `node SCRIPT …`: an executable of this kind ignores SCRIPT, so it is read here.
const isScript = first !== undefined && first.startsWith(root + path.sep) && first.endsWith(".js")
const isSelf = first !== undefined && first === self
process.argv = [self, isScript ? first : self, ...(isScript || isSelf ? others : process.argv.slice(2))]
const start = /** @type {(script: string | undefined) => unknown} */ (
  createRequire(path.join(root, "run.cjs"))("./run.cjs")
)
start(isScript ? first : undefined)

/** @param {string} name */
function asset(name) {
  return Buffer.from(/** @type {ArrayBuffer} */ (getRawAsset(name)))
}

/** Returns the directory of the unpacked program. */
function findRoot() {
  const home = process.env["XDG_CACHE_HOME"] ?? path.join(process.env["HOME"] ?? "", ".cache")
  const places = path.isAbsolute(home) ? [path.join(home, "agentchat")] : []
  places.push(path.join(os.tmpdir(), `agentchat-program-${process.getuid?.() ?? 0}`))
  let problem = ""
  for (const place of places) {
    try {
      return unpack(place)
    } catch (error) {
      problem = String(error)
    }
  }
  console.error(`agentchat: cannot be unpacked: ${problem}`)
  console.error("agentchat: hint: set XDG_CACHE_HOME to a directory that you can write")
  process.exit(1)
}

/** @param {string} place */
function unpack(place) {
  fs.mkdirSync(place, { recursive: true, mode: 0o700 })
  // Another user may have made it first, in a directory for all users.
  const stat = fs.lstatSync(place)
  const isOurs = stat.isDirectory() && (process.getuid === undefined || stat.uid === process.getuid())
  if (!isOurs || (stat.mode & 0o022) !== 0) throw new Error(`${place}: others can write there`)
  const folder = path.join(place, digest.slice(0, 32))
  if (fs.existsSync(path.join(folder, "run.cjs"))) return folder
  const draft = fs.mkdtempSync(path.join(place, "unpack-"))
  try {
    // Loaded once per version; every start would pay for them.
    const { createHash } = require("node:crypto")
    const { gunzipSync } = require("node:zlib")
    const packed = asset("program")
    if (createHash("sha256").update(packed).digest("hex") !== digest)
      throw new Error("the program is damaged")
    writeFiles(draft, gunzipSync(packed))
    fs.renameSync(draft, folder)
  } catch (error) {
    fs.rmSync(draft, { recursive: true, force: true })
    // Another process was faster.
    if (!fs.existsSync(path.join(folder, "run.cjs"))) throw error
  }
  return folder
}

/**
 * @param {string} folder
 * @param {Buffer} bytes - the length of a JSON index, the index, and the contents of the files
 */
function writeFiles(folder, bytes) {
  const start = 4 + bytes.readUInt32BE(0)
  let offset = start
  const index = /** @type {[string, number][]} */ (JSON.parse(bytes.toString("utf8", 4, start)))
  for (const [name, size] of index) {
    const file = path.join(folder, name)
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
    fs.writeFileSync(file, bytes.subarray(offset, offset + size), { mode: 0o600 })
    offset += size
  }
}
