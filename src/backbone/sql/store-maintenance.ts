import { randomBytes } from "node:crypto"
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { syncDirectory } from "../../base/files.js"
import { ChatError } from "../../protocol/errors.js"
import { checkNoWal } from "./sql-store.js"
import { StoreWorker, workerFile } from "./store-worker.js"
import {
  type ExportCursor,
  type ExportPage,
  maxFaults,
  type StoreLine,
  type StoreOp,
  type StoreOps,
  type StoreReport,
  type StoreResult,
  type StoreSize,
} from "./worker-protocol.js"

/** How a store is checked. */
interface VerifyOptions {
  /** Reports whether a relay can read an entry or a row; without it, contents are not checked. */
  readonly isReadable?: (line: StoreLine) => boolean
  /** The JavaScript file of the worker, if it is not the built one. */
  readonly program?: string
}

/**
 * Reads a whole store and checks it for damage.
 * @throws {ChatError} ALREADY_RUNNING while a relay uses it; NOT_FOUND, UNSUPPORTED, FILE_FAILED
 */
export async function verifyStore(
  dir: string,
  { isReadable, program = workerFile }: VerifyOptions = {},
): Promise<StoreReport> {
  try {
    const report = await withStore(dir, program, (worker) => ask(worker, { op: "verify" }))
    if (!report.isWhole || isReadable === undefined) return report
    const faults: string[] = []
    for await (const line of exportStore(dir, program)) {
      if (faults.length < maxFaults && !isReadable(line)) faults.push(describeMalformed(line))
    }
    return { ...report, isWhole: faults.length === 0, faults }
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "STORE_DAMAGED") throw error
    return { isWhole: false, logs: 0, entries: 0, rows: 0, faults: [error.message] }
  }
}

function describeMalformed(line: StoreLine): string {
  const key = JSON.stringify(line.key)
  if (line.kind === "row") return `row ${key} of table ${JSON.stringify(line.table)} is malformed`
  return `log ${JSON.stringify(line.family)} ${key}: entry ${line.seq} is malformed`
}

/** Makes a directory for a copy within that of its store. A relay may be allowed to write nowhere else. */
export function makeStage(dir: string): string {
  return mkdtempSync(join(dir, "backup-"))
}

/** Returns whether a name is one of {@link makeStage}. */
export function isStage(name: string): boolean {
  return /^backup-\w{6}$/.test(name)
}

/** Removes the copies of backups that were killed. */
export function removeStages(dir: string): void {
  const left = readdirSync(dir).filter(isStage)
  for (const name of left) rmSync(join(dir, name), { recursive: true, force: true })
}

/**
 * Writes a copy of a store to a new file, which {@link restoreStore} takes, and verifies it.
 * @param options - `askRelay` makes the relay that uses the store copy it to `store.db` in a new stage, and returns that
 * @throws {ChatError} FILE_FAILED if the file exists; as {@link compactStore}, and the error of `askRelay`
 */
export async function backupStore(
  dir: string,
  file: string,
  { askRelay, ...options }: VerifyOptions & { readonly askRelay?: () => Promise<string> } = {},
): Promise<StoreReport> {
  refuseExisting(file)
  const draft = `${file}.${randomBytes(6).toString("hex")}.tmp`
  let stage: string | undefined
  try {
    stage = (await copyClosedStore(dir, options.program)) ?? (await askRelay?.())
    if (stage === undefined) throw new ChatError("ALREADY_RUNNING", `${dir}: another relay uses this store`)
    const staged = join(stage, "store.db")
    const report = await verifyStore(stage, options)
    if (!report.isWhole) {
      throw new ChatError("STORE_DAMAGED", `${dir}: the copy is damaged: ${report.faults[0] ?? ""}`, {
        hint: `no backup was written; see: agentchat store verify ${dir}`,
      })
    }
    copyFileSync(staged, draft, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
    chmodSync(draft, 0o600)
    publish(draft, file)
    return report
  } catch (error) {
    throw asFileError(error, file)
  } finally {
    rmSync(draft, { force: true })
    if (stage !== undefined) rmSync(stage, { recursive: true, force: true })
  }
}

/** Copies a store that no relay uses. @returns the directory of the copy; undefined if a relay uses the store */
async function copyClosedStore(dir: string, program = workerFile): Promise<string | undefined> {
  let stage: string | undefined
  try {
    return await withStore(dir, program, async (worker) => {
      stage = makeStage(dir)
      await ask(worker, { op: "copy", path: join(stage, "store.db") })
      return stage
    })
  } catch (error) {
    if (stage !== undefined) rmSync(stage, { recursive: true, force: true })
    if (error instanceof ChatError && error.code === "ALREADY_RUNNING") return undefined
    throw error
  }
}

/**
 * Makes a directory's store from a backup, or from a `store.db` that was copied with its `-wal`. The store keeps its id.
 * A relay that opens it begins a new life of its numbers, as with every store that exists, so that members who know
 * more than the copy miss nothing that follows.
 * @throws {ChatError} NOT_FOUND for the file; FILE_FAILED if the directory has a store; STORE_DAMAGED, UNSUPPORTED
 */
export async function restoreStore(
  file: string,
  dir: string,
  options: VerifyOptions = {},
): Promise<StoreReport> {
  const path = join(dir, "store.db")
  refuseExisting(path)
  checkNoWal(path)
  if (!statSync(file, { throwIfNoEntry: false })?.isFile())
    throw new ChatError("NOT_FOUND", `${file}: no such file`)
  let stage: string | undefined
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    stage = mkdtempSync(join(dir, "restore-"))
    const staged = join(stage, "store.db")
    for (const end of ["", "-wal"]) {
      if (end !== "" && !existsSync(file + end)) continue
      copyFileSync(file + end, staged + end, constants.COPYFILE_EXCL)
      chmodSync(staged + end, 0o600)
    }
    const report = await verifyStore(stage, options)
    if (!report.isWhole) {
      throw new ChatError("STORE_DAMAGED", `${file}: is damaged: ${report.faults[0] ?? ""}`, {
        hint: "nothing was restored; take another backup",
      })
    }
    publish(staged, path)
    return report
  } catch (error) {
    throw asFileError(error, path)
  } finally {
    if (stage !== undefined) rmSync(stage, { recursive: true, force: true })
  }
}

function refuseExisting(path: string): void {
  if (existsSync(path)) throw existing(path)
}

function existing(path: string): ChatError {
  return new ChatError("FILE_FAILED", `${path}: exists, and nothing is overwritten`, {
    hint: "name another place, or move it away first",
  })
}

/** Gives a finished file its name, unless that exists. */
function publish(draft: string, path: string): void {
  const fd = openSync(draft, "r")
  fsyncSync(fd)
  closeSync(fd)
  linkSync(draft, path)
  syncDirectory(dirname(path))
}

function asFileError(error: unknown, path: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (error instanceof ChatError || code === undefined) return error
  return code === "EEXIST"
    ? existing(path)
    : new ChatError("FILE_FAILED", `${path}: ${message}`, { cause: error })
}

/**
 * Compacts a store. Needs as much free disk space as the store takes.
 * @throws {ChatError} as {@link verifyStore}, and STORE_DAMAGED
 */
export async function compactStore(dir: string, program = workerFile): Promise<StoreSize> {
  return await withStore(dir, program, (worker) => ask(worker, { op: "compact" }))
}

/**
 * Yields everything in a store: the entries of each log in order, then the rows.
 * @throws {ChatError} as {@link compactStore}
 */
export async function* exportStore(dir: string, program = workerFile): AsyncGenerator<StoreLine> {
  const worker = await StoreWorker.open({ dir, create: false, check: false, ts: 0 }, program)
  try {
    let cursor: ExportCursor | undefined
    do {
      const page: ExportPage = await ask(worker, { op: "export", cursor })
      yield* page.lines
      cursor = page.cursor
    } while (cursor !== undefined)
  } finally {
    await worker.close()
  }
}

async function withStore<T>(
  dir: string,
  program: string,
  act: (worker: StoreWorker) => Promise<T>,
): Promise<T> {
  const worker = await StoreWorker.open({ dir, create: false, check: false, ts: 0 }, program)
  try {
    return await act(worker)
  } finally {
    await worker.close()
  }
}

/** Runs an operation. A read that fails means that the store is damaged. */
async function ask<Name extends keyof StoreOps>(
  worker: StoreWorker,
  op: StoreOp<Name>,
): Promise<StoreResult<Name>> {
  try {
    return await worker.ask(op)
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "UNAVAILABLE") throw error
    const code = op.op === "compact" || op.op === "copy" ? "FILE_FAILED" : "STORE_DAMAGED"
    throw new ChatError(code, worker.fault, { cause: error })
  }
}
