/** Plans the changes of install and uninstall to each file. Nothing is written here. */
import { join } from "node:path"
import { shellWord } from "../../base/command-hint.js"
import { addEntries, type ConfigFile, digest, type EditRecord, removeEntries } from "../config/config-edit.js"
import type { Harness } from "../harness.js"
import { type FoundFile, readFound } from "./disk.js"
import type { FileEntry, InstallRecord } from "./record.js"
import type { FileRequest, HarnessFile, HarnessSpec, TextFile } from "./spec.js"

/** A file as it is and as it shall be. */
export interface FileChange {
  readonly harness: Harness
  readonly path: string
  readonly found: FoundFile
  /** undefined to remove the file. */
  readonly after: string | undefined
  /** undefined to forget the file. */
  readonly entry: FileEntry | undefined
}

/** A file, or a harness, that is left as it is. */
export interface InstallProblem {
  readonly harness: Harness
  /** undefined if it concerns all files of the harness. */
  readonly path: string | undefined
  readonly message: string
  readonly hint?: string
}

export interface Plan {
  readonly changes: readonly FileChange[]
  readonly problems: readonly InstallProblem[]
}

/** Plans the installation for one harness. */
export function planInstall(spec: HarnessSpec, request: FileRequest, record: InstallRecord): Plan {
  const planFile = (file: HarnessFile): FileChange | undefined => {
    const found = readFound(file.path, boundaryOf(request))
    const entry = record.files.get(file.path)
    const written =
      file.kind === "text"
        ? wholeText(spec.name, file, found, entry)
        : withEntries(spec.name, file, found, entry)
    if (written === undefined) return undefined
    const harnesses = [...new Set([...(entry?.harnesses ?? []), spec.name])]
    const { after, own } = written
    return {
      harness: spec.name,
      path: file.path,
      found,
      after,
      entry: { harnesses, scope: request.scope, ...own },
    }
  }
  return planFiles(spec.name, () => filesOf(spec, request), planFile)
}

/** The text of a file, and what is recorded of it. */
interface Written {
  readonly after: string | undefined
  readonly own: Partial<FileEntry>
}

function wholeText(
  harness: Harness,
  { text }: TextFile,
  found: FoundFile,
  entry: FileEntry | undefined,
): Written | undefined {
  const isSame = found.text === text
  if (isSame && entry?.harnesses.includes(harness) === true) return undefined
  if (!isSame && found.text !== undefined && entry?.sha256 !== digest(found.text))
    throw new Error(foreignText)
  return { after: text, own: { sha256: digest(text) } }
}

const foreignText = "exists with another content, which agentchat install did not write; move it away first"

function withEntries(
  harness: Harness,
  file: ConfigFile,
  found: FoundFile,
  entry: FileEntry | undefined,
): Written | undefined {
  const edited = addEntries(harness, file, found.text, entry?.edit)
  if (edited === undefined) return undefined
  return { after: edited.text, own: { format: file.format, ...(edited.record && { edit: edited.record }) } }
}

/** Plans the removal of what install wrote for one harness, with or without a record of it. */
export function planUninstall(spec: HarnessSpec, request: FileRequest, record: InstallRecord): Plan {
  const { name } = spec
  const planFile = (file: HarnessFile): FileChange | undefined => {
    const found = readFound(file.path, boundaryOf(request))
    const entry = record.files.get(file.path)
    const others = entry?.harnesses.filter((owner) => owner !== name) ?? []
    const change = { harness: name, path: file.path, found, after: found.text, entry: undefined }
    if (entry !== undefined && others.length > 0) return { ...change, entry: { ...entry, harnesses: others } }
    const forget = entry === undefined ? undefined : change
    if (found.text === undefined) return forget
    if (file.kind === "text")
      return isOwnText(file, found.text, entry) ? { ...change, after: undefined } : undefined
    const edited = removeEntries(name, file, found.text, entry?.edit)
    return edited === undefined ? forget : { ...change, after: edited.text }
  }
  return planFiles(name, () => writtenFiles(spec, request, record), planFile)
}

/** @throws {Error} if it was ours and was changed */
function isOwnText(file: TextFile, text: string, entry: FileEntry | undefined): boolean {
  if (text === file.text || entry?.sha256 === digest(text)) return true
  if (entry === undefined) return false
  throw new Error(changedText)
}

const changedText = "was changed since agentchat install wrote it, and is left as it is"

function planFiles(
  harness: Harness,
  list: () => readonly HarnessFile[],
  plan: (file: HarnessFile) => FileChange | undefined,
): Plan {
  const changes: FileChange[] = []
  const problems: InstallProblem[] = []
  const attempt = <T>(path: string | undefined, action: () => T): T | undefined => {
    try {
      return action()
    } catch (error) {
      problems.push({ harness, path, ...describe(error, path) })
      return undefined
    }
  }
  for (const file of attempt(undefined, list) ?? []) {
    const change = attempt(file.path, () => plan(file))
    if (change !== undefined) changes.push(change)
  }
  return { changes, problems }
}

/** Says why a file is left alone. */
export function describe(error: unknown, path: string | undefined): Pick<InstallProblem, "message" | "hint"> {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === undefined) {
    if (!(error instanceof RangeError)) return withHint(message, path)
    return { message: "is nested too deeply" }
  }
  return { message: `cannot be used (${code})` }
}

function withHint(message: string, path: string | undefined): Pick<InstallProblem, "message" | "hint"> {
  if (path === undefined) return { message }
  if (message === foreignText) return { message, hint: `mv ${shellWord(path)} ${shellWord(`${path}.old`)}` }
  if (message === changedText) return { message, hint: `rm ${shellWord(path)}` }
  return { message }
}

function filesOf(spec: HarnessSpec, request: FileRequest): readonly HarnessFile[] {
  if (request.scope === "project" && spec.noProject !== undefined) {
    throw new Error(`has no files of a project: ${spec.noProject}`)
  }
  return spec.files(request)
}

/** Returns the files of today's version, and others that the record names. */
function writtenFiles(spec: HarnessSpec, request: FileRequest, record: InstallRecord): HarnessFile[] {
  const { scope, places } = request
  const files = new Map(ownFiles(spec, request).map((file) => [file.path, file]))
  for (const [path, entry] of record.files) {
    if (entry.scope !== scope || !entry.harnesses.includes(spec.name) || files.has(path)) continue
    if (scope === "user" || path.startsWith(join(places.project, "/"))) files.set(path, recorded(path, entry))
  }
  return [...files.values()]
}

/** Returns the files of today's version; none if the harness cannot hold them here. */
function ownFiles(spec: HarnessSpec, request: FileRequest): readonly HarnessFile[] {
  try {
    return filesOf(spec, request)
  } catch {
    return []
  }
}

function recorded(path: string, { format, edit }: FileEntry): ConfigFile | TextFile {
  if (format === undefined) return { kind: "text", path, text: "" }
  return { kind: "config", path, format, additions: additionsOf(edit) }
}

function additionsOf(edit: EditRecord | undefined): ConfigFile["additions"] {
  return edit?.added ?? []
}

function boundaryOf({ scope, places }: Pick<FileRequest, "scope" | "places">): string | undefined {
  return scope === "project" ? places.project : undefined
}
