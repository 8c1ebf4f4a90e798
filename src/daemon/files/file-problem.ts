import { basename } from "node:path"
import { ChatError } from "../../protocol/errors.js"

const resumes = "nothing is lost; it goes on by itself once this is fixed"

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "no space left on the disk",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system is read-only",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EIO: "the disk reports an error",
  ENOENT: "the directory is gone",
  EISDIR: "a directory stands where the file belongs",
  ENOTDIR: "a file stands where a directory belongs",
  EEXIST: "a file stands where a directory belongs",
  EMFILE: "too many open files",
  ENFILE: "too many open files",
}

/**
 * What a refusal of the file system means to an operator.
 * @param error - what was thrown; anything that is no system error is a bug and thrown again
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
