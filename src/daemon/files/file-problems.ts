import { basename } from "node:path"
import { ChatError } from "../../protocol/errors.js"

const resumes = "nothing is lost; the daemon continues by itself once this is fixed"

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "no space left on the disk",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system is read-only",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EIO: "the disk reports an error",
  ENOENT: "the directory is missing",
  EISDIR: "a directory exists where the file belongs",
  ENOTDIR: "a file exists where a directory belongs",
  EEXIST: "a file exists where a directory belongs",
  ELOOP: "a symbolic link exists where the file belongs",
  EFTYPE: "something other than a plain file is there",
  EFBIG: "the file is too large",
  EMFILE: "too many open files",
  ENFILE: "too many open files",
}

const hints: Readonly<Record<string, string>> = {
  ENOSPC: "free some space; the daemon continues by itself",
  EDQUOT: "free some of your quota; the daemon continues by itself",
  EROFS: "make the file system writable again; the daemon continues by itself",
  EACCES: "give the daemon's user access to it (chmod u+rwX); the daemon continues by itself",
  EPERM: "give the daemon's user access to it (chmod u+rwX); the daemon continues by itself",
  ELOOP: "remove the symbolic link; the daemon creates a plain file by itself",
  EFTYPE: "remove it; the daemon creates a plain file by itself",
  EMFILE: "raise the limit of open files (ulimit -n); the daemon continues by itself",
}

/** An error of a system call. A later attempt may succeed. */
export type FileError = NodeJS.ErrnoException & { readonly code: string }

/** Reports whether `error` was thrown by a system call. */
export function isFileError(error: unknown): error is FileError {
  return error instanceof Error && "syscall" in error && "code" in error && typeof error.code === "string"
}

/**
 * Describes a system error to an operator.
 * @param error - the thrown value; anything but a system error or a ChatError is a bug and is thrown again
 * @returns a ChatError FILE_FAILED that names the file
 */
export function asFileProblem(error: unknown, path: string): ChatError {
  if (error instanceof ChatError) return error
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  if (code === undefined) throw error
  const reason = reasons[code] ?? "the file system refuses"
  return new ChatError("FILE_FAILED", `${basename(path)}: ${reason} (${code})`, {
    cause: error,
    hint: resumes,
  })
}

/** The unsolved file problems of one part of the daemon. Reports the oldest of them whenever that changes. */
export class FileProblems {
  readonly #report: (problem: ChatError | undefined) => void
  readonly #byOperation = new Map<string, ChatError>()
  #reported: string | undefined

  /** @param report - receives the oldest problem, and undefined once there is none */
  constructor(report: (problem: ChatError | undefined) => void) {
    this.#report = report
  }

  /**
   * Runs `work`. A system error becomes a problem, success clears it; anything else is a bug and is thrown.
   * @param operation - as in "cannot be written"
   * @returns whether `work` succeeded
   */
  attempt(file: string, operation: string, work: () => void): boolean {
    try {
      work()
    } catch (error) {
      if (error instanceof ChatError) this.set(file, operation, error)
      else if (isFileError(error)) this.set(file, operation, describe(file, operation, error))
      else throw error
      return false
    }
    this.clear(file, operation)
    return true
  }

  set(file: string, operation: string, problem: ChatError): void {
    this.#byOperation.set(`${file} ${operation}`, problem)
    this.#reportOldest()
  }

  clear(file: string, operation: string): void {
    if (this.#byOperation.size > 0 && this.#byOperation.delete(`${file} ${operation}`)) this.#reportOldest()
  }

  #reportOldest(): void {
    const [oldest] = this.#byOperation.values()
    if (oldest?.message === this.#reported) return
    this.#reported = oldest?.message
    this.#report(oldest)
  }
}

function describe(file: string, operation: string, cause: FileError): ChatError {
  const [reason = cause.code] = cause.message.split(",")
  const hint = hints[cause.code]
  const details = hint === undefined ? { cause } : { cause, hint }
  return new ChatError("FILE_FAILED", `${file}: cannot be ${operation} (${reason})`, details)
}
