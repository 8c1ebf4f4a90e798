import { fork } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { type Outcome, programPath, type Workspace } from "./program.js"

/** The result of a command that ended by itself. */
export interface Ended extends Outcome {
  readonly status: number
}

/**
 * Runs commands of the built program one after another in one process ({@link file://./command-server.mjs}),
 * because starting Node takes longer than most commands. One user after another takes it.
 */
export class CommandServer {
  static readonly #free: CommandServer[] = []
  readonly #process = fork(join(import.meta.dirname, "command-server.mjs"), [programPath])
  readonly #ready = once(this.#process, "message")
  readonly #ended = once(this.#process, "exit")

  private constructor() {
    // It ends with this process, and does not keep it.
    this.#process.unref()
    this.#process.channel?.unref()
  }

  /** Ends the servers that nobody uses. */
  static async endAll(): Promise<void> {
    for (const server of CommandServer.#free.splice(0)) {
      server.#process.kill("SIGKILL")
      await server.#ended
    }
  }

  /** Returns a server that nobody uses. */
  static take(): CommandServer {
    return CommandServer.#free.pop() ?? new CommandServer()
  }

  async run(argv: readonly string[], cwd: string, env: NodeJS.ProcessEnv, input: string): Promise<Ended> {
    await this.#ready
    const ended = this.#ended.then(([code]) => {
      throw new Error(`the command server ended with ${String(code)} in: agentchat ${argv.join(" ")}`)
    })
    const answer = once(this.#process, "message").then(([outcome]) => outcome as Ended)
    this.#process.send({ argv, cwd, env, input })
    return Promise.race([answer, ended])
  }

  giveBack(): void {
    if (this.#process.exitCode === null && this.#process.signalCode === null) CommandServer.#free.push(this)
  }
}

/** Runs a command in a workspace without blocking this process, and without starting one if a server is free. */
export async function agentchat(workspace: Workspace, ...args: string[]): Promise<Ended> {
  const server = CommandServer.take()
  try {
    return await server.run(args, workspace.dir, workspace.env, "")
  } finally {
    server.giveBack()
  }
}

/** Like {@link agentchat}, and fails unless the command succeeds. @returns its standard output */
export async function must(workspace: Workspace, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await agentchat(workspace, ...args)
  if (status !== 0) throw new Error(`agentchat ${args.join(" ")}: exit ${status}\n${stdout}${stderr}`)
  return stdout
}
