import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { type Answer, CommandRoom } from "./command-room.js"
import { FakeClock } from "./fake-clock.js"

/** A home directory of a user with coding harnesses, and a project. */
export class HarnessHome {
  readonly #room = new CommandRoom()
  readonly home = join(this.#room.dir, "home")
  readonly project = join(this.#room.dir, "project")
  /** The program that installs, as a path. */
  script = "/opt/agentchat/dist/bin/agentchat.js"
  readonly env: Record<string, string> = { HOME: this.home }
  clock = new FakeClock()
  nodeVersion = process.version
  /** `PATH`. */
  searchPath = ""

  constructor() {
    mkdirSync(this.home)
    mkdirSync(this.project)
  }

  write(path: string, text: string | Uint8Array): string {
    const file = join(this.home, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
    return file
  }

  program(name: string): void {
    this.searchPath = join(this.#room.dir, "bin")
    mkdirSync(this.searchPath, { recursive: true })
    writeFileSync(join(this.searchPath, name), "#!/bin/sh\n")
    chmodSync(join(this.searchPath, name), 0o755)
  }

  read(path: string): string {
    return readFileSync(join(this.home, path), "utf8")
  }

  json(path: string): Record<string, unknown> {
    return JSON.parse(this.read(path)) as Record<string, unknown>
  }

  /** Everything below a directory: contents and modes by path. */
  tree(directory = this.home): Record<string, string> {
    return Object.fromEntries(entriesOf(directory, ""))
  }

  run(...args: string[]): Promise<Answer> {
    const { script, searchPath, env, project, clock, nodeVersion } = this
    const surroundings = {
      nodeVersion,
      nodePath: "/usr/bin/node",
      scriptPath: script,
      searchPath,
      cwd: project,
      pid: process.pid,
    }
    return this.#room.run(args, { env, surroundings, columns: 80, clock })
  }

  /** Runs a command that must succeed. */
  async must(...args: string[]): Promise<string> {
    const { status, out, err } = await this.run(...args)
    if (status !== 0) throw new Error(`agentchat ${args.join(" ")}: ${err}`)
    return out
  }
}

function entriesOf(directory: string, prefix: string): [string, string][] {
  return readdirSync(directory).flatMap((name): [string, string][] => {
    const path = join(directory, name)
    const key = `${prefix}${name}`
    const stat = lstatSync(path)
    if (stat.isDirectory()) return [[`${key}/`, ""], ...entriesOf(path, `${key}/`)]
    if (stat.isSymbolicLink()) return [[key, `-> ${readlinkSync(path)}`]]
    if (!stat.isFile()) return [[key, "special"]]
    return [[key, `${(stat.mode & 0o7777).toString(8)} ${readFileSync(path).toString("latin1")}`]]
  })
}
