// `npm run bench [-- NAMES…]`: builds, runs all benchmarks or the named ones, prints the results and writes them to
// bench/RESULTS.md, each section with the machine and commit it was measured on.
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { cpus, totalmem, type } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { formatReport } from "../bench/kit/report.mjs"
import { root } from "./project.mjs"
import { fail, requireNode, run } from "./run.mjs"

/** @typedef {{ run: () => Promise<import("../bench/kit/report.mjs").Report> }} Benchmark */

const folder = join(root, "bench")
const ending = ".bench.mjs"
const results = join(folder, "RESULTS.md")
const title =
  "# Benchmarks\n\nOn one machine, over loopback. `npm run bench` measures again; bench/ holds what is run."

requireNode()
for (const script of [["install.mjs"], ["build.mjs", "--if-stale"]]) {
  const [name = "", ...flags] = script
  if (run("node", [join(root, "scripts", name), ...flags]) !== 0) process.exit(1)
}

const known = readdirSync(folder)
  .filter((name) => name.endsWith(ending))
  .map((name) => name.slice(0, -ending.length))
const named = process.argv.slice(2)
const unknown = named.find((name) => !known.includes(name))
if (unknown !== undefined)
  fail(`there is no benchmark "${unknown}"`, `npm run bench -- ${known.join(" ")} (any of them)`, 2)

for (const name of named.length === 0 ? known : named) {
  console.log(`▶ ${name}`)
  try {
    const section = `${conditions(name)}\n\n${formatReport(await measure(name))}`
    console.log(`\n${section}\n`)
    writeSection(name, section)
  } catch (error) {
    // Keep its old figures; the other benchmarks are still useful.
    console.error(error)
    process.exitCode = 1
  }
}

/** @param {string} name */
async function measure(name) {
  /** @type {unknown} */
  const module = await import(join(folder, name + ending))
  return /** @type {Benchmark} */ (module).run()
}

/** Describes the machine, versions and commit of the figures. @param {string} name */
function conditions(name) {
  const processors = cpus()
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  const machine = `${processors.length} × ${processors[0]?.model.trim() ?? "unknown"}, ${memory}, ${type()}`
  const date = new Date().toISOString().slice(0, 10)
  return `${machine}; Node.js ${process.versions.node}; commit ${commit()}; ${date}; \`npm run bench -- ${name}\``
}

/** Returns the commit, marked if the working tree differs from it. */
function commit() {
  const git = (/** @type {string[]} */ ...args) =>
    execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim()
  try {
    const changes = git("status", "--porcelain", "--", "bin", "src", "bench", ":!bench/RESULTS.md")
    return git("rev-parse", "--short", "HEAD") + (changes === "" ? "" : " with changes")
  } catch {
    return "unknown"
  }
}

/** Replaces one section of RESULTS.md. @param {string} name @param {string} section */
function writeSection(name, section) {
  const sections = readSections()
  sections.set(name, section)
  const texts = [...sections.keys()].sort().map((key) => `## ${key}\n\n${sections.get(key) ?? ""}`)
  writeFileSync(results, `${[title, ...texts].join("\n\n")}\n`)
}

/** @returns {Map<string, string>} */
function readSections() {
  let text = ""
  try {
    text = readFileSync(results, "utf8")
  } catch {
    // The first run creates it.
  }
  const parts = text.split(/^## /m).slice(1)
  return new Map(
    parts.map((part) => [part.slice(0, part.indexOf("\n")), part.slice(part.indexOf("\n")).trim()]),
  )
}
