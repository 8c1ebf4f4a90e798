// Installs the dependencies unless node_modules already matches package-lock.json. It compares contents, not times,
// because a checkout changes the times of all files.
import process from "node:process"
import { isDeepStrictEqual } from "node:util"
import { readJson } from "./project.mjs"
import { fail, requireNode, run, say } from "./run.mjs"
import { removeShrinkwrap } from "./shrinkwrap.mjs"

/**
 * @typedef {Record<string, string>} Ranges
 * @typedef {{ dependencies?: Ranges, devDependencies?: Ranges }} Manifest
 * @typedef {{ version?: string, integrity?: string, optional?: boolean, devOptional?: boolean }} Package
 * @typedef {{ packages: Record<string, Package & Manifest> }} Lock
 */

requireNode()
// npm prefers it to package-lock.json. It is left by packing that was killed; packing calls this script too.
if (!["pack", "publish"].includes(process.env["npm_command"] ?? "")) removeShrinkwrap()
if (!isInstalled()) install()

function isInstalled() {
  const manifest = /** @type {Manifest | undefined} */ (readJson("package.json"))
  const wanted = /** @type {Lock | undefined} */ (readJson("package-lock.json"))
  // npm writes this file last, so it is missing after an interrupted install.
  const present = /** @type {Lock | undefined} */ (readJson("node_modules/.package-lock.json"))
  if (manifest === undefined || wanted === undefined || present === undefined) return false
  const { "": project, ...packages } = wanted.packages
  if (!isDeepStrictEqual(project?.dependencies, manifest.dependencies)) return false
  if (!isDeepStrictEqual(project?.devDependencies, manifest.devDependencies)) return false
  return Object.entries(packages).every(([path, entry]) => isSamePackage(entry, present.packages[path]))
}

/**
 * @param {Package} wanted
 * @param {Package | undefined} present - absent is right for a package made for another platform
 */
function isSamePackage(wanted, present) {
  if (present === undefined) return wanted.optional === true || wanted.devOptional === true
  return wanted.version === present.version && wanted.integrity === present.integrity
}

function install() {
  say("installing dependencies …")
  // As `prepare`, this runs inside `npm install -g .`, whose settings npm passes on.
  const args = ["--include=dev", "--no-audit", "--no-fund", "--no-global", "--location=project"]
  const status = run("npm", ["ci", ...args], { quiet: true })
  if (status === 0) return
  if (status === 127) fail("npm is not on the PATH", "install npm, which comes with Node.js, then try again")
  say("`npm ci` could not; trying `npm install` …")
  if (run("npm", ["install", ...args], { quiet: true }) === 0) return
  fail(
    "the dependencies could not be installed (npm's own words are above)",
    "check the network, then try again",
  )
}
