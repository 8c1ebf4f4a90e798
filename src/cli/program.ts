import { ChatError } from "../protocol/errors.js"
import { readCommandLine } from "./command-line.js"
import { type Environment, mergeConfig } from "./config.js"
import type { Context } from "./context.js"
import { reportFailure } from "./output/failure.js"

/** The process as the command line sees it. */
export type Surroundings = Omit<Context, "config" | "outline"> & { readonly env: Environment }

/**
 * Runs one command line.
 * @param argv - the arguments after the program's name
 * @returns the exit status: that of the error table for an expected failure
 */
export async function runProgram(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  let json = argv.includes("--json")
  try {
    const request = await readCommandLine(argv, () => surroundings.io.columns)
    const { io, env, system, clock } = surroundings
    if (request.kind === "help") {
      io.out(request.text.trimEnd())
      return 0
    }
    const config = mergeConfig(request.flags, env, system.cwd)
    json = config.json
    const outline = async () => (await import("./command-outlines.js")).outlineCommands()
    const context = { io, clock, system, config, outline }
    if (request.kind === "run") return await request.command.run(context, request.input)
    const { version } = await import("./commands/version.js")
    return await version.run(context, { args: {}, options: {}, url: undefined })
  } catch (error) {
    const failure = error instanceof ChatError ? error : fileFailure(error)
    if (failure === undefined) throw error
    return reportFailure(surroundings.io, failure, json)
  }
}

/** What a person can fix, wherever it came up; anything else is a fault of ours, and shows where. */
const refusals = new Set(["EACCES", "EDQUOT", "EMFILE", "ENOSPC", "ENOTDIR", "EPERM", "EROFS"])

function fileFailure(error: unknown): ChatError | undefined {
  if (!(error instanceof Error)) return undefined
  const { code = "", path, syscall = "open" } = error as NodeJS.ErrnoException
  if (path === undefined || !refusals.has(code)) return undefined
  return new ChatError("FILE_FAILED", `${path}: cannot be used (${syscall}: ${code})`, { cause: error })
}
