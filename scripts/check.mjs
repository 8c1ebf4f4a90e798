// `npm test`: runs the steps of the gate and stops at the first failure.
// `npm test -- --only types,lint` runs some of the steps. The last line shows the test totals; a failure of another
// step counts as one failed test, so that the line never looks better than the gate.
import { rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { parseArgs } from "node:util"
import { readJson } from "./project.mjs"
import { fail, requireNode, run, runQuietly } from "./run.mjs"

/** @typedef {Record<`num${"Passed" | "Failed" | "Pending" | "Todo"}Tests`, number>} Report */
/** @typedef {readonly [program: string, ...args: string[]]} CommandLine */

requireNode()
const report = join(tmpdir(), `agentchat-tests-${process.pid}.json`)

/**
 * The stages of the gate with the command line of each step. The steps of a stage do not depend on each other; tests
 * come after the build because some of them run dist/.
 * @type {readonly Record<string, CommandLine>[]}
 */
const stages = [
  { install: ["node", "scripts/install.mjs"] },
  {
    format: ["biome", "check", "--error-on-warnings", "."],
    lint: ["oxlint"],
    types: ["tsc", "-p", "."],
    pagetypes: ["tsc", "-p", "src/web/page"],
    imports: ["depcruise", "bin", "src"],
    deadcode: ["knip"],
    // After an install on a fresh clone there is nothing left to do: `prepare` has built.
    build: ["node", "scripts/build.mjs", "--if-stale"],
  },
  {
    tests: [
      "vitest",
      "run",
      "--allowOnly=false",
      "--reporter=default",
      "--reporter=json",
      `--outputFile=${report}`,
    ],
  },
  { package: ["node", "scripts/pack-smoke.mjs"] },
]
/** Steps of a stage that run at the same time: one for each core of a small machine. */
const parallelSteps = 2

const totals = { passed: 0, failed: 0, skipped: 0 }
process.exitCode = (await runGate()) ? 0 : 1
rmSync(report, { force: true })
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)

/** @returns {Promise<boolean>} whether every selected step passed */
async function runGate() {
  const only = readOnly()
  for (const stage of stages) {
    const steps = Object.entries(stage).filter(
      ([name]) => name === "install" || (only?.includes(name) ?? true),
    )
    if (!(await (steps.length > 1 ? runTogether(steps) : steps.every(runAlone)))) return false
  }
  return true
}

/** @returns {readonly string[] | undefined} the steps to run; undefined for all */
function readOnly() {
  const names = stages.flatMap((stage) => Object.keys(stage))
  const usage = `npm test -- --only ${names.join(",")} (any of them)`
  try {
    const only = parseArgs({ options: { only: { type: "string" } } }).values.only?.split(",")
    const unknown = only?.find((name) => !names.includes(name))
    return unknown === undefined ? only : fail(`unknown step "${unknown}"`, usage, 2)
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error), usage, 2)
  }
}

/**
 * Runs a step with its output on the terminal.
 * @param {readonly [string, CommandLine]} step
 */
function runAlone([name, [program, ...args]]) {
  console.log(`▶ ${name}`)
  const startMs = performance.now()
  const isGood = run(program, args) === 0
  if (name === "tests") readTotals()
  return finish(name, isGood, startMs)
}

/**
 * Runs several steps at the same time, and prints the output of each when it has ended. A failure lets the running
 * steps end and starts no more.
 * @param {(readonly [string, CommandLine])[]} steps
 */
async function runTogether(steps) {
  const waiting = [...steps]
  let isGood = true
  const work = async () => {
    for (let step = waiting.shift(); step !== undefined && isGood; step = waiting.shift()) {
      const [name, [program, ...args]] = step
      const startMs = performance.now()
      console.log(`▶ ${name}`)
      const { status, output } = await runQuietly(program, args)
      if (status !== 0) process.stdout.write(output)
      isGood = finish(name, status === 0, startMs) && isGood
    }
  }
  await Promise.all(Array.from({ length: parallelSteps }, work))
  return isGood
}

/** @param {string} name @param {boolean} isGood @param {number} startMs */
function finish(name, isGood, startMs) {
  if (!isGood && totals.failed === 0) totals.failed = 1
  console.log(`${isGood ? "✔" : "✘"} ${name}, ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
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
