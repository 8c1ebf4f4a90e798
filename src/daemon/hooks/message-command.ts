import { spawn } from "node:child_process"
import type { InboxEntry } from "../inbox/reader.js"
import type { Handled } from "./inbox-consumer.js"

/** Milliseconds after which a command is killed. */
const commandMs = 600_000
/** Attempts with a line before it is left out, so that one line does not hold up all others. */
const maxFailures = 8

/** How a command ended: its exit status, or why it did not run. */
function runCommand(
  command: string,
  cwd: string,
  input: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn("/bin/sh", ["-c", command], {
      cwd,
      stdio: ["pipe", "ignore", "ignore"],
      signal,
      timeout: commandMs,
    })
    child.on("error", (error) => resolve(error.message))
    child.on("close", (code, killed) => {
      if (code === 0) resolve(undefined)
      else resolve(code === null ? `ended by ${killed ?? "a signal"}` : `exit status ${code}`)
    })
    // The command may end without reading its input.
    child.stdin.on("error", () => {})
    child.stdin.end(input)
  })
}

/**
 * Returns the handler of `--on-message`: the shell runs the command with the line on its standard input.
 * @param cwd - the directory in which it runs
 * @param log - gets a line without text of other agents
 */
export function commandHandler(
  command: string,
  cwd: string,
  log: (line: string) => void,
): (entry: InboxEntry, failures: number, signal: AbortSignal) => Promise<Handled> {
  return async ({ seq, text }, failures, signal) => {
    const problem = await runCommand(command, cwd, `${text}\n`, signal)
    if (problem === undefined || signal.aborted) return "done"
    const isLast = failures + 1 >= maxFailures
    log(`on-message: line ${seq}: ${problem}${isLast ? "; it is left out" : ""}`)
    return isLast ? "done" : "retry"
  }
}
