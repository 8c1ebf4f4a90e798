/** The record of what install wrote, by which uninstall puts every file back. */
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { shellWord } from "../../base/command-hint.js"
import { readIfExists, writeFileAtomic } from "../../base/files.js"
import { isPlain } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"
import type { ConfigFile, EditRecord } from "../config/config-edit.js"
import type { Harness } from "../harness.js"
import { missingParents, removeTemporaries } from "./disk.js"
import type { Places, Scope } from "./spec.js"

/** One file that install wrote to. */
export interface FileEntry {
  readonly harnesses: readonly Harness[]
  readonly scope: Scope
  /** For a configuration file. */
  readonly format?: ConfigFile["format"]
  readonly edit?: EditRecord
  /** For a file that is ours as a whole: its SHA-256, in hex. */
  readonly sha256?: string
}

/** The record, which is in memory while it is changed. */
export interface InstallRecord {
  readonly files: Map<string, FileEntry>
  /** Directories that install created. */
  readonly directories: Set<string>
}

export function recordFolder({ state }: Pick<Places, "state">): string {
  return join(state, "agentchat")
}

function recordPath(places: Pick<Places, "state">): string {
  return join(recordFolder(places), "install.json")
}

/** Reads the record; an empty one if there is none. @throws {ChatError} FILE_FAILED if it is damaged */
export function readRecord(places: Pick<Places, "state">): InstallRecord {
  const path = recordPath(places)
  const text = readIfExists(path)
  if (text === undefined) return { files: new Map(), directories: new Set() }
  try {
    const { files, directories } = JSON.parse(text) as Record<string, unknown>
    if (!isPlain(files) || !Array.isArray(directories)) throw new Error("not a record")
    return {
      files: new Map(Object.entries(files as Record<string, FileEntry>)),
      directories: new Set(directories.filter((one): one is string => typeof one === "string")),
    }
  } catch (error) {
    const hint = `rm ${shellWord(path)}; entries are found without it, too: agentchat uninstall`
    throw new ChatError("FILE_FAILED", `${path}: is not a record of agentchat install`, {
      hint,
      cause: error,
    })
  }
}

/** Writes the record (0600), or removes it if it is empty. */
export function writeRecord(places: Pick<Places, "state">, { files, directories }: InstallRecord): void {
  const path = recordPath(places)
  removeTemporaries(path)
  if (files.size === 0) {
    rmSync(path, { force: true })
    return
  }
  for (const created of missingParents(path)) directories.add(created)
  mkdirSync(recordFolder(places), { recursive: true })
  const document = { v: 1, directories: [...directories], files: Object.fromEntries(files) }
  writeFileAtomic(path, `${JSON.stringify(document, null, 1)}\n`, { durable: true })
}
