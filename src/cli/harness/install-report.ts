/** Prints the changes of install and uninstall. */
import { createTwoFilesPatch, FILE_HEADERS_ONLY } from "diff"
import { formatForTerminal } from "../../base/visible-text.js"
import type { FileChange, InstallProblem } from "../../harness/install/plan.js"
import type { Places } from "../../harness/install/spec.js"
import { harnessSpecs } from "../../harness/install/specs.js"
import { ChatError } from "../../protocol/errors.js"
import type { Context } from "../context.js"
import { reportFailure, reportSuccess } from "../exit-status.js"

/** The kind of change of a file. */
type Action = "create" | "edit" | "remove"

/** Returns what happens to the file; undefined if only the record of it changes. */
function actionOf({ found, after }: FileChange): Action | undefined {
  if (after === found.text) return undefined
  if (after === undefined) return "remove"
  return found.text === undefined ? "create" : "edit"
}

/** Changes that were made, or are about to be. */
export interface Outcome {
  readonly changes: readonly FileChange[]
  readonly problems: readonly InstallProblem[]
  readonly isDryRun: boolean
  /** True to add what the user has to do then. */
  readonly isInstall: boolean
}

/** @returns the exit status: that of FILE_FAILED if a file was left alone */
export function reportChanges(context: Context, outcome: Outcome, places: Places): number {
  const { problems, isDryRun } = outcome
  const changes = outcome.changes.flatMap((change) => {
    const action = actionOf(change)
    return action === undefined ? [] : [{ ...change, action }]
  })
  const files = changes.map(({ harness, path, action }) => ({ harness, path, action }))
  const steps = outcome.isInstall ? nextSteps(changes) : []
  const document = { dry_run: isDryRun, files, steps, problems }
  const shown = (path: string) => formatForTerminal(homeRelative(path, places))
  const lines = isDryRun
    ? changes.flatMap((change) => diffLines(change, shown(change.path)))
    : changes.map(({ harness, path, action }) => `${harness.padEnd(12)} ${words[action]} ${shown(path)}`)
  const next = isDryRun ? [] : steps.map(({ harness, step }) => `${harness.padEnd(12)} then ${step}`)
  const text = [...lines, ...next]
  if (problems.length === 0)
    return reportSuccess(context, document, text.length === 0 ? "nothing to do" : text)
  return reportProblems(context, document, text, places)
}

function reportProblems(
  context: Context,
  document: { readonly problems: readonly InstallProblem[] },
  text: readonly string[],
  places: Places,
): number {
  const { io, config } = context
  if (!config.json && !config.quiet) for (const line of text) io.out(line)
  for (const { harness, path, message, hint } of document.problems) {
    io.err(`${path === undefined ? harness : homeRelative(path, places)}: ${message}`)
    if (hint !== undefined) io.err(`hint: ${hint}`)
  }
  const count = document.problems.length
  const left = count === 1 ? "1 file or harness was" : `${count} files or harnesses were`
  return reportFailure(context, new ChatError("FILE_FAILED", `${left} left as found`), { ...document })
}

const words: Readonly<Record<Action, string>> = { create: "created", edit: "edited ", remove: "removed" }

function nextSteps(changes: readonly FileChange[]) {
  return [...new Set(changes.map(({ harness }) => harness))].flatMap((harness) => {
    const step = harnessSpecs[harness].afterInstall
    return step === undefined ? [] : [{ harness, step }]
  })
}

function homeRelative(path: string, { home }: Places): string {
  return path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path
}

function diffLines({ found, after }: FileChange, path: string): string[] {
  const [from, to] = [found.text === undefined ? "/dev/null" : path, after === undefined ? "/dev/null" : path]
  const patch = createTwoFilesPatch(from, to, found.text ?? "", after ?? "", undefined, undefined, {
    ...{ context: 3, headerOptions: FILE_HEADERS_ONLY },
  })
  return patch.trimEnd().split("\n").map(safeLine)
}

/** Values of lines around a change that may be secrets of other programs. */
const secret = /((?:token|secret|key|password|passwd|auth\w*|credential\w*)["']?\s*[:=]\s*)(["']).*\2/gi

function safeLine(line: string): string {
  const masked = line.startsWith(" ") ? line.replaceAll(secret, "$1$2…$2") : line
  return masked.replace(/\r$/, "").split("\t").map(formatForTerminal).join("\t")
}
