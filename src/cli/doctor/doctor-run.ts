import { completeHint } from "../../base/command-hint.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { Context } from "../context.js"
import type { Check, Level } from "./check.js"
import { checkHarnesses, type HarnessCheck } from "./harness-checks.js"
import { checkRelays } from "./relay-check.js"
import { asCheck, checkHome, checkNode } from "./system-checks.js"

/** Exit status if something is bad. */
const badStatus = 1
const defaultColumns = 80
const indent = " ".repeat(17)

/** Prints what was found. @returns 1 if something is bad, else 0 */
export async function runDoctor(context: Context): Promise<number> {
  const { io, config } = context
  const { harnesses, failed } = harnessChecks(context)
  const found = [
    checkNode(context),
    ...checkHome(context),
    ...(await checkRelays(context)),
    ...harnesses.map(({ check }) => check),
    ...failed,
  ]
  const checks = found.map(({ fix, ...check }): Check => {
    return fix === undefined ? check : { ...check, fix: completeHint(fix, config.hintOptions) }
  })
  const isFine = checks.every(({ level }) => level !== "bad")
  if (config.json) io.json({ ok: isFine, checks, harnesses: harnesses.map(({ state }) => state) })
  else for (const check of checks) for (const line of format(context, check)) io.out(line)
  return isFine ? 0 : badStatus
}

function harnessChecks(context: Context): { harnesses: HarnessCheck[]; failed: Check[] } {
  try {
    return { harnesses: checkHarnesses(context), failed: [] }
  } catch (error) {
    return { harnesses: [], failed: [asCheck("harnesses", error)] }
  }
}

const marks: Readonly<Record<Level, string>> = { ok: "ok  ", warn: "warn", bad: "BAD ", off: "-   " }

function format({ io, config }: Context, { level, what, text, fix }: Check): string[] {
  if (config.quiet && level !== "bad") return []
  const columns = (io.columns ?? defaultColumns) - indent.length
  const [first = "", ...rest] = wrap(formatForTerminal(text), columns)
  const lines = [`${marks[level]} ${what.padEnd(12)}${first}`, ...rest.map((line) => indent + line)]
  // A command stays on one line, to be copied.
  if (fix !== undefined) lines.push(`${indent}fix: ${formatForTerminal(fix)}`)
  return lines
}

/** Breaks a text at spaces into lines of some width; a longer word has a line of its own. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = []
  for (const word of text.split(" ")) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= columns)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
