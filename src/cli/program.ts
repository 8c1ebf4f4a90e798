import { ChatError } from "../protocol/errors.js"
import { readCommandLine } from "./command-line.js"
import { type Environment, mergeConfig } from "./config.js"
import type { Context } from "./context.js"
import { reportFailure } from "./failure.js"

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
    if (!(error instanceof ChatError)) throw error
    return reportFailure(surroundings.io, error, json)
  }
}
