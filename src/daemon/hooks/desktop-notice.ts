import { spawn } from "node:child_process"
import type { Clock } from "../../base/clock.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { InboxEntry } from "../inbox/reader.js"
import type { Handled } from "./inbox-consumer.js"

/** Milliseconds between two notices: a flood of messages makes one. */
const pauseMs = 10_000
const maxTitle = 80

/** Starts a program without a shell. @returns false if it cannot be started */
export type Start = (program: string, args: readonly string[]) => Promise<boolean>

function startProgram(program: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: "ignore", detached: true })
    child.on("error", () => resolve(false))
    child.on("spawn", () => resolve(true))
    child.unref()
  })
}

/**
 * Returns the handler of `--notify`, which shows that something needs the agent, but not its text: a desktop may show
 * notices on a locked screen. The title is the sender's name; it is an argument of its own and no markup.
 */
export function noticeHandler(
  clock: Pick<Clock, "monotonic">,
  log: (line: string) => void,
  start: Start = startProgram,
): (entry: InboxEntry) => Promise<Handled> {
  let lastMs = -Infinity
  let isMissing = false
  return async ({ fields }) => {
    const nowMs = clock.monotonic()
    if (isMissing || nowMs - lastMs < pauseMs) return "done"
    lastMs = nowMs
    const [title, body] = [titleOf(fields), "needs you: agentchat inbox"]
    for (const [program, args] of commandsFor(title, body)) if (await start(program, args)) return "done"
    isMissing = true
    log("notify: neither notify-send nor osascript is here")
    return "done"
  }
}

function titleOf({ name, type }: InboxEntry["fields"]): string {
  const who = typeof name === "string" ? formatForTerminal(name).slice(0, maxTitle) : String(type)
  // The title of notify-send is plain text; a leading dash would be an option without the "--" before it.
  return `agentchat: ${who}`
}

const appleScript = [
  "on run argv",
  "display notification (item 2 of argv) with title (item 1 of argv)",
  "end run",
]

function commandsFor(title: string, body: string): readonly (readonly [string, readonly string[]])[] {
  return [
    ["notify-send", ["--app-name=agentchat", "--", title, body]],
    ["osascript", [...appleScript.flatMap((line) => ["-e", line]), title, body]],
  ]
}
