import { existsSync } from "node:fs"
import { completeHint, type HintOptions } from "../base/command-hint.js"
import { rootPaths } from "../daemon/files/paths.js"
import { type Config, mergeConfig } from "./config.js"
import type { Context, Io } from "./context.js"
import { expectedFailure, reportFailure } from "./exit-status.js"
import type { Request } from "./parser.js"

/** The standard streams of the process. */
export type ProcessIo = Omit<Io, "note">

/** The process as the command line uses it. */
export type Surroundings = Pick<Context, "clock" | "system" | "env"> & {
  readonly io: ProcessIo
}

/** Commands whose purpose is their output. The others do something first, and their exit status is about that. */
const readers: ReadonlySet<string> = new Set([
  ...[
    "inbox",
    "wait",
    "watch",
    "whoami",
    "doctor",
    "listen",
    "connect",
    "receipts",
    "ratings",
    "proposals",
    "status",
    "pending",
  ],
  ...["channels", "agents", "store", "completion", "version", "hook", "schema", "mcp", "claims"],
])

/**
 * Runs one command line.
 * @param words - the arguments after the program's name
 * @returns the exit status
 */
export async function runProgram(words: readonly string[], surroundings: Surroundings): Promise<number> {
  return words[0] === "hook" ? runHookWords(words, surroundings) : runWords(words, surroundings)
}

/** Runs a hook, which answers whatever goes wrong. */
async function runHookWords(words: readonly string[], surroundings: Surroundings): Promise<number> {
  const { answerHook, readHookWords } = await import("./hooks/hook-words.js")
  const { env, system, io } = surroundings
  const request = readHookWords(words)
  if (request === undefined) return runWords(words, surroundings)
  try {
    return await answerHook(
      contextOf(surroundings, mergeConfig(noFlags, env, system.cwd, system.uid)),
      request,
    )
  } catch (error) {
    return answerFailedHook(io, words, error)
  }
}

const noFlags = { json: false, quiet: false, home: undefined }

async function answerFailedHook(io: ProcessIo, words: readonly string[], error: unknown): Promise<number> {
  io.err(expectedFailure(error)?.message ?? String(error))
  const { answerFailure } = await import("./hooks/hook-run.js")
  return answerFailure(io, words)
}

function contextOf({ io: processIo, clock, system, env }: Surroundings, config: Config): Context {
  const note = (line: string) =>
    config.quiet ? undefined : processIo.err(completeHint(line, config.hintOptions))
  // A prototype, because reading every property would set up all streams.
  const io = Object.create(processIo, { note: { value: note } }) as Io
  const outline = async () => (await import("./command-table.js")).outlineCommands()
  return { io, clock, system, env, config, outline }
}

async function runWords(words: readonly string[], surroundings: Surroundings): Promise<number> {
  const { parseCommandLine, respell } = await import("./parser.js")
  const argv = respell(words)
  const { env, system } = surroundings
  let config: Pick<Context["config"], "json" | "hintOptions"> = {
    json: argv.includes("--json"),
    hintOptions: {},
  }
  try {
    const request = await parseCommandLine(argv, () => surroundings.io.columns)
    if (request.kind === "help") {
      if (config.json) surroundings.io.json({ ok: true, ...request.document })
      else surroundings.io.out(request.text.trimEnd())
      return 0
    }
    const merged = await withSession(
      mergeConfig(request.flags, env, system.cwd, system.uid, hintOptionsOf(request)),
      surroundings,
    )
    config = merged
    const context = contextOf(surroundings, merged)
    if (request.kind === "run") {
      if (!readers.has(request.name)) context.io.outliveOutput()
      return await request.command.run(context, request.input)
    }
    const { version } = await import("./commands/version.js")
    return await version.run(context, { args: {}, options: {}, url: undefined })
  } catch (error) {
    const failure = expectedFailure(error)
    if (argv[0] === "hook") return answerFailedHook(surroundings.io, argv, error)
    if (failure === undefined) throw error
    return reportFailure({ io: surroundings.io, config }, failure)
  }
}

/** Adds the agent of the session in which the command runs. */
async function withSession(config: Config, { env, system }: Surroundings): Promise<Config> {
  if (config.name !== undefined || !existsSync(rootPaths(config.home).sessions)) return config
  const { findSessionAgent } = await import("./hooks/session-agent.js")
  return { ...config, sessionAgent: findSessionAgent({ config, env, system }) }
}

/** The options that say which daemon or identity the command line is about. */
function hintOptionsOf(request: Request): HintOptions {
  if (request.kind !== "run") return {}
  const { command, input } = request
  const { name, identity } = input.options as HintOptions
  const isDaemon = command.options["name"]?.completion === "daemon"
  return { name: isDaemon ? name : undefined, identity }
}
