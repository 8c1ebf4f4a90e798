/** Remembers which answers `agentchat ask` has printed, so that the inbox does not show them as news. */
import { appendPlain, readIfExists, writeFileAtomic } from "../../base/files.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"

/** Answers remembered. */
const maxAnswers = 200

type Paths = Pick<DaemonPaths, "answers">

/** Records an answer. Throws the system's errors. */
export function notePrintedAnswer({ answers }: Paths, msgId: string): void {
  appendPlain(answers, `${JSON.stringify(msgId)}\n`)
  const lines = linesOf(answers)
  if (lines.length > 2 * maxAnswers) writeFileAtomic(answers, `${lines.slice(-maxAnswers).join("\n")}\n`)
}

/** Returns the ids of the answers; none if there is no such file. */
export function readPrintedAnswers({ answers }: Paths): ReadonlySet<string> {
  return new Set(linesOf(answers).map((line) => line.slice(1, -1)))
}

function linesOf(path: string): string[] {
  try {
    return (readIfExists(path) ?? "").split("\n").filter(Boolean)
  } catch {
    return []
  }
}
