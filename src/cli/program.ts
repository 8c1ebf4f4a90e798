import { outlineCommands } from "./command-table.js"
import { type Environment, mergeConfig } from "./config.js"
import type { Context } from "./context.js"
import { expectedFailure, reportFailure } from "./exit-status.js"
import { parseCommandLine } from "./parser.js"

/** The process as the command line uses it. */
export type Surroundings = Omit<Context, "config" | "outline"> & { readonly env: Environment }

/**
 * Runs one command line.
 * @param argv - the arguments after the program's name
 * @returns the exit status
 */
export async function runProgram(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const { io, env, system, clock } = surroundings
  let json = argv.includes("--json")
  try {
    const request = await parseCommandLine(argv, () => io.columns)
    if (request.kind === "help") {
      io.out(request.text.trimEnd())
      return 0
    }
    const config = mergeConfig(request.flags, env, system.cwd, system.uid)
    json = config.json
    const context = { io, clock, system, config, outline: outlineCommands }
    if (request.kind === "run") return await request.command.run(context, request.input)
    const { version } = await import("./commands/version.js")
    return await version.run(context, { args: {}, options: {}, url: undefined })
  } catch (error) {
    const failure = expectedFailure(error)
    if (failure === undefined) throw error
    return reportFailure(io, failure, json)
  }
}
