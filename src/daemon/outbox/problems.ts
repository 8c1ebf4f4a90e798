import { ChatError } from "../../protocol/errors.js"

const hints: Readonly<Record<string, string>> = {
  ENOSPC: "free some space; the daemon goes on by itself",
  EDQUOT: "free some of your quota; the daemon goes on by itself",
  EROFS: "make the file system writable again; the daemon goes on by itself",
  EACCES: "give the daemon's user the right to it (chmod u+rwX); the daemon goes on by itself",
  EPERM: "give the daemon's user the right to it (chmod u+rwX); the daemon goes on by itself",
  ELOOP: "remove the symbolic link; the daemon makes a plain file by itself",
  EMFILE: "raise the number of open files (ulimit -n); the daemon goes on by itself",
}

/** What keeps the outbox from its work, by place and by what is done there. Tells only when the first changes. */
export class OutboxProblems {
  readonly #report: (problem: ChatError | undefined) => void
  readonly #byWork = new Map<string, ChatError>()
  #told: string | undefined

  constructor(report: (problem: ChatError | undefined) => void) {
    this.#report = report
  }

  /**
   * Runs `work`. A refusal of the file system becomes a problem, success clears it; anything else is a bug
   * and passes through.
   * @param doing - as in "cannot be written"
   * @returns whether it worked
   */
  attempt(place: string, doing: string, work: () => void): boolean {
    try {
      work()
    } catch (error) {
      if (error instanceof ChatError) this.set(place, doing, error)
      else if (isFileError(error)) this.set(place, doing, fileFailed(place, doing, error))
      else throw error
      return false
    }
    this.clear(place, doing)
    return true
  }

  set(place: string, doing: string, problem: ChatError): void {
    this.#byWork.set(`${place} ${doing}`, problem)
    this.#tell()
  }

  clear(place: string, doing: string): void {
    if (this.#byWork.delete(`${place} ${doing}`)) this.#tell()
  }

  #tell(): void {
    const [first] = this.#byWork.values()
    if (first?.message === this.#told) return
    this.#told = first?.message
    this.#report(first)
  }
}

/** Whether `error` is a refusal of the operating system, which a later try may not meet. */
export function isFileError(error: unknown): error is NodeJS.ErrnoException & { code: string } {
  return error instanceof Error && "syscall" in error && "code" in error && typeof error.code === "string"
}

function fileFailed(
  place: string,
  doing: string,
  cause: NodeJS.ErrnoException & { code: string },
): ChatError {
  const [reason = cause.code] = cause.message.split(",")
  const hint = hints[cause.code]
  const details = hint === undefined ? { cause } : { cause, hint }
  return new ChatError("FILE_FAILED", `${place}: cannot be ${doing} (${reason})`, details)
}
