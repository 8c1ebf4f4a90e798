// node run.mjs BASE [TOKEN]: runs the cases against a server, and prints a line for each (TAP 13).
import process from "node:process"
import { readCases, runCase } from "./runner.mjs"

const [base, token] = process.argv.slice(2)
if (base === undefined) {
  console.error("usage: node run.mjs BASE [TOKEN]")
  process.exit(2)
}
const cases = readCases()
console.log(`1..${cases.length}`)
for (const [i, each] of cases.entries()) {
  const line = `${i + 1} - ${each.id} ${each.title}`
  try {
    await runCase(each, { base, token })
    console.log(`ok ${line}`)
  } catch (error) {
    process.exitCode = 1
    console.log(`not ok ${line}\n  ${String(error).replaceAll("\n", "\n  ")}`)
  }
}
