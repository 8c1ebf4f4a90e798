/** Finds the files that a tool is about to change, in the arguments that a model gave it. */
import { isPlain } from "../../base/plain.js"

/** Paths taken from one call. */
const maxPaths = 100
/** How deep the arguments are searched. */
const maxDepth = 4

const pathKeys = new Set([
  ...[
    "file_path",
    "filePath",
    "path",
    "paths",
    "file_paths",
    "notebook_path",
    "target_file",
    "absolute_path",
  ],
  ...["AbsolutePath", "TargetFile", "filename", "file"],
])
/** Arguments that may hold a patch in the form of `apply_patch`, or a list of edits. */
const nestedKeys = new Set([
  ...["edits", "changes", "files", "input", "patch", "patchText", "command", "arguments", "cmd", "code"],
])
const patchLine = /^\s*\*\*\* (?:(?:Add|Update|Delete) File|Move to): (.+)$/gm

/** Returns the paths named in the arguments of a tool, each once. */
export function pathsOf(input: unknown): string[] {
  const found = new Set<string>()
  collect(input, found, 0)
  return [...found].slice(0, maxPaths)
}

function collect(value: unknown, found: Set<string>, depth: number): void {
  if (depth > maxDepth || found.size > maxPaths) return
  if (typeof value === "string") {
    for (const [, path = ""] of value.matchAll(patchLine)) found.add(path.trim())
  } else if (Array.isArray(value)) {
    for (const item of value) collect(item, found, depth + 1)
  } else if (isPlain(value)) {
    for (const [key, member] of Object.entries(value)) collectMember(key, member, found, depth)
  }
}

function collectMember(key: string, value: unknown, found: Set<string>, depth: number): void {
  if (nestedKeys.has(key)) collect(value, found, depth + 1)
  else if (pathKeys.has(key)) for (const path of textsOf(value)) found.add(path)
}

function textsOf(value: unknown): string[] {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value]
  return items.filter((item): item is string => typeof item === "string" && item !== "")
}
