// `npm test`: runs the steps of the gate in order and stops at the first failure.
// `npm test -- --only types,lint` runs some of the steps. The last line shows the test totals; a failure of another
// step counts as one failed test, so that the line never looks better than the gate.
import { rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { parseArgs } from "node:util"
import { readJson } from "./project.mjs"
import { fail, requireNode, run } from "./run.mjs"

/** @typedef {Record<`num${"Passed" | "Failed" | "Pending" | "Todo"}Tests`, number>} Report */

requireNode()
const report = join(tmpdir(), `agentchat-tests-${process.pid}.json`)

/**
 * Name and command line of each step. Tests come after the build because some of them run dist/.
 * @satisfies {Record<string, [program: string, ...args: string[]]>}
 */
const steps = {
  install: ["node", "scripts/install.mjs"],
  format: ["biome", "check", "--error-on-warnings", "."],
  types: ["tsc", "-p", "."],
  lint: ["eslint", "--max-warnings", "0", "."],
  imports: ["depcruise", "bin", "src"],
  deadcode: ["knip"],
  build: ["node", "scripts/build.mjs"],
  tests: [
    "vitest",
    "run",
    "--allowOnly=false",
    "--reporter=default",
    "--reporter=json",
    `--outputFile=${report}`,
  ],
  package: ["node", "scripts/pack-smoke.mjs"],
}

const totals = { passed: 0, failed: 0, skipped: 0 }
process.exitCode = selectSteps().every(([name, command]) => runStep(name, command)) ? 0 : 1
rmSync(report, { force: true })
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)

function selectSteps() {
  const all = Object.entries(steps)
  const only = readOnly()
  if (only === undefined) return all
  const unknown = only.find((name) => !Object.hasOwn(steps, name))
  if (unknown !== undefined) refuse(`there is no step "${unknown}"`)
  return all.filter(([name]) => name === "install" || only.includes(name))
}

function readOnly() {
  try {
    return parseArgs({ options: { only: { type: "string" } } }).values.only?.split(",")
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error))
  }
}

/** @param {string} problem */
function refuse(problem) {
  return fail(problem, `npm test -- --only ${Object.keys(steps).join(",")} (any of them)`, 2)
}

/**
 * @param {string} name
 * @param {readonly string[]} command
 */
function runStep(name, [program = "", ...args]) {
  console.log(`▶ ${name}`)
  const startMs = performance.now()
  const isGood = run(program, args) === 0
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
  if (name === "tests") readTotals()
  if (!isGood && totals.failed === 0) totals.failed = 1
  console.log(`${isGood ? "✔" : "✘"} ${name}, ${seconds} s`)
  return isGood
}

/** Reads the totals from vitest's JSON report, which is missing if vitest crashed. */
function readTotals() {
  const found = /** @type {Report | undefined} */ (readJson(report))
  if (found === undefined) return
  totals.passed = found.numPassedTests
  totals.failed = found.numFailedTests
  totals.skipped = found.numPendingTests + found.numTodoTests
}
