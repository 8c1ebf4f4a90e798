import { execFile } from "node:child_process"
import { chmodSync, mkdirSync, rmSync } from "node:fs"
import { platform, userInfo } from "node:os"
import { dirname, join, resolve } from "node:path"
import { closestNames } from "../../base/closest-names.js"
import { readIfExists, writeFileAtomic } from "../../base/files.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import { parseInstanceName } from "../../protocol/names.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { launchdPlist, marker, type ServiceSpec, systemdUnit } from "./unit-files.js"

/** The demand of a command line of `service`. */
interface ServiceRequest {
  readonly action: "install" | "uninstall" | "status" | "print"
  /** `relay`, or `daemon` and perhaps its name; then options of `serve` or `daemon`. */
  readonly words: readonly string[]
  readonly isUser: boolean
}

/** The outcome of a program that manages services. */
interface Ended {
  readonly status: number
  readonly text: string
}

/** A service as one manager sees it. */
interface Manager {
  readonly file: string
  readonly content: string
  /** Command lines that start and stop the service, and one that succeeds while it runs. */
  readonly start: readonly (readonly string[])[]
  readonly stop: readonly (readonly string[])[]
  readonly query: readonly string[]
}

/** Exit status of `status` if the service does not run, as that of `systemctl is-active`. */
const inactiveStatus = 3

/** Runs `agentchat service`. @throws {ChatError} USAGE, FILE_FAILED; UNSUPPORTED if the manager of services refuses */
export async function runService(
  context: Context,
  request: ServiceRequest,
  os: NodeJS.Platform = platform(),
): Promise<number> {
  const spec = await readSpec(context, request)
  const manager = os === "darwin" ? launchd(context, spec) : systemd(context, spec)
  switch (request.action) {
    case "print":
      return reportSuccess(
        context,
        { file: manager.file, content: manager.content },
        manager.content.trimEnd().split("\n"),
      )
    case "status":
      return status(context, spec, manager)
    case "install":
      return install(context, spec, manager)
    case "uninstall":
      return uninstall(context, spec, manager)
  }
}

async function readSpec(context: Context, request: ServiceRequest): Promise<ServiceSpec> {
  const { system, config } = context
  const { isUser } = request
  const { kind, name: instance, given } = readWords(request.words)
  const own = kind === "daemon" ? ["--name", instance] : storeOptions(given)
  const options = [...given, ...own]
  await checkFlags(context, kind === "relay" ? "serve" : "daemon", given)
  return {
    kind,
    isUser,
    options,
    name: kind === "relay" ? "agentchat-relay" : `agentchat-daemon-${instance}`,
    // A single executable is its own script.
    program: [...new Set([system.nodePath, resolve(system.scriptPath)])],
    cwd: system.cwd,
    home: resolve(system.cwd, config.home),
    account: userInfo().username,
  }
}

/** Reads `relay`, or `daemon` and its name, and the options after them. @throws {ChatError} USAGE, INVALID_NAME */
function readWords(words: readonly string[]) {
  const first = words.findIndex((word) => word.startsWith("-"))
  const operands = first < 0 ? words : words.slice(0, first)
  const [kind = "relay", name = "default"] = operands
  const most = kind === "daemon" ? 2 : 1
  if ((kind !== "relay" && kind !== "daemon") || operands.length > most) {
    throw new ChatError(
      "USAGE",
      `${JSON.stringify(operands[most] ?? kind)}: expected relay, or daemon NAME`,
      {
        hint: "put options of the relay or daemon after --",
      },
    )
  }
  return { kind, name: parseInstanceName(name), given: words.slice(operands.length) } as const
}

/** Finds a misspelled option now, not in the log of a service that does not start. @throws {ChatError} USAGE */
async function checkFlags({ outline }: Context, command: string, words: readonly string[]): Promise<void> {
  const options = (await outline()).find(({ name }) => name === command)?.options ?? []
  const known = options.map(({ flag }) => `--${flag}`)
  for (const word of words) {
    const [flag = ""] = word.split("=", 1)
    if (!flag.startsWith("--") || known.includes(flag)) continue
    const [near] = closestNames(flag, known)
    const hint = near === undefined ? `see: agentchat ${command} --help` : `did you mean ${near}?`
    throw new ChatError("USAGE", `${command}: unknown option "${flag}"`, { hint })
  }
}

function storeOptions(given: readonly string[]): string[] {
  const hasStore = given.some((word) => /^--(?:data|backbone)(?:=|$)/.test(word))
  return hasStore ? [] : ["--data", "${STATE_DIRECTORY}/store"]
}

function systemd({ env }: Context, spec: ServiceSpec): Manager {
  const { name, isUser } = spec
  const configHome = env["XDG_CONFIG_HOME"] ?? join(env["HOME"] ?? "/", ".config")
  const systemctl = ["systemctl", ...(isUser ? ["--user"] : [])]
  const unit = `${name}.service`
  return {
    file: join(isUser ? join(configHome, "systemd/user") : "/etc/systemd/system", unit),
    content: systemdUnit(spec),
    start: [
      [...systemctl, "daemon-reload"],
      [...systemctl, "enable", unit],
      [...systemctl, "restart", unit],
    ],
    stop: [[...systemctl, "disable", "--now", unit]],
    query: [...systemctl, "is-active", unit],
  }
}

function launchd({ env, system }: Context, spec: ServiceSpec): Manager {
  const { name, isUser, options } = spec
  const library = isUser ? join(env["HOME"] ?? "/", "Library") : "/Library"
  const file = join(library, isUser ? "LaunchAgents" : "LaunchDaemons", `${name}.plist`)
  const domain = isUser ? `gui/${system.uid}` : "system"
  const state = join(library, "Application Support/agentchat")
  const placed = options.map((word) => word.replace("${STATE_DIRECTORY}", () => state))
  return {
    file,
    content: launchdPlist({ ...spec, options: placed }, join(library, "Logs", `${name}.log`)),
    start: [["launchctl", "bootstrap", domain, file]],
    stop: [["launchctl", "bootout", `${domain}/${name}`]],
    query: ["launchctl", "print", `${domain}/${name}`],
  }
}

async function install(context: Context, { name }: ServiceSpec, manager: Manager): Promise<number> {
  const { file, content, start } = manager
  refuseForeign(file)
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileAtomic(file, content)
    chmodSync(file, 0o644)
  } catch (error) {
    throw new ChatError("FILE_FAILED", `${file}: ${(error as Error).message}`, {
      hint: "install it as root, or for yourself: agentchat service install --user",
      cause: error,
    })
  }
  for (const command of start) await must(context, command, `${file} is written`)
  return reportSuccess(context, { name, file }, `${name} runs; its file is ${formatForTerminal(file)}`)
}

async function uninstall(context: Context, { name }: ServiceSpec, manager: Manager): Promise<number> {
  const { file, stop } = manager
  if (!refuseForeign(file)) throw new ChatError("NOT_FOUND", `${file}: no such service`)
  for (const command of stop) await must(context, command, `${file} is still there`)
  rmSync(file, { force: true })
  return reportSuccess(context, { name, file }, `${name} is stopped and removed; its data stays`)
}

async function status(context: Context, { name }: ServiceSpec, manager: Manager): Promise<number> {
  const installed = readIfExists(manager.file) !== undefined
  const ended = installed ? await run(context, manager.query) : undefined
  const running = ended?.status === 0
  const text = !installed ? "is not installed" : running ? "runs" : "is installed and does not run"
  reportSuccess(context, { name, file: manager.file, installed, running }, `${name} ${text}`)
  return running ? 0 : inactiveStatus
}

/** @returns whether the file is there @throws {ChatError} FILE_FAILED if another program wrote it */
function refuseForeign(file: string): boolean {
  const found = readIfExists(file)
  if (found !== undefined && !found.includes(marker)) {
    throw new ChatError("FILE_FAILED", `${file}: was not written by agentchat`, {
      hint: "move it away first",
    })
  }
  return found !== undefined
}

async function must(context: Context, command: readonly string[], state: string): Promise<void> {
  const { status: code, text } = await run(context, command)
  if (code === 0) return
  throw new ChatError("UNSUPPORTED", `${state}; ${command.join(" ")}: ${text || `exit ${code}`}`, {
    hint: `correct this, then run: ${command.join(" ")}`,
  })
}

function run({ env, system }: Context, [program = "", ...args]: readonly string[]): Promise<Ended> {
  return new Promise((done) => {
    execFile(program, args, { env, cwd: system.cwd }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1
      const text = (stderr || stdout).trim().split("\n", 1)[0] ?? ""
      done({ status: code, text: text === "" && error !== null ? error.message : text })
    })
  })
}
