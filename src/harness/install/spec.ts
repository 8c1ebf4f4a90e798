/** A harness as install knows it: where its files are, and what agentchat adds to them. */
import { isAbsolute, join, resolve } from "node:path"
import { shellWord } from "../../base/command-hint.js"
import type { Addition } from "../config/additions.js"
import type { ConfigFile } from "../config/config-edit.js"
import type { Harness } from "../harness.js"

/** The user's directories, and one project. All are absolute. */
export interface Places {
  readonly home: string
  /** `XDG_CONFIG_HOME`, by default ~/.config. */
  readonly config: string
  /** `XDG_STATE_HOME`, by default ~/.local/state. */
  readonly state: string
  /** `CLAUDE_CONFIG_DIR`, by default ~/.claude. */
  readonly claude: string
  /** `CODEX_HOME`, by default ~/.codex. */
  readonly codex: string
  /** `COPILOT_HOME`, by default ~/.copilot. */
  readonly copilot: string
  /** `KIMI_CODE_HOME`, by default ~/.kimi-code. */
  readonly kimi: string
  readonly project: string
}

/** Returns the directories of a user. @param home - the user's home directory, absolute */
export function placesOf(
  env: Readonly<Record<string, string | undefined>>,
  home: string,
  project: string,
): Places {
  const own = (name: string, fallback: string) => {
    const path = env[name]
    return path === undefined || path === "" ? join(home, fallback) : resolve(project, path)
  }
  // The XDG specification has relative paths ignored.
  const xdg = (name: string, fallback: string) =>
    isAbsolute(env[name] ?? "") ? own(name, fallback) : join(home, fallback)
  return {
    home,
    config: xdg("XDG_CONFIG_HOME", ".config"),
    state: xdg("XDG_STATE_HOME", ".local/state"),
    claude: own("CLAUDE_CONFIG_DIR", ".claude"),
    codex: own("CODEX_HOME", ".codex"),
    copilot: own("COPILOT_HOME", ".copilot"),
    kimi: own("KIMI_CODE_HOME", ".kimi-code"),
    project,
  }
}

/** This program, as other programs call it. Both paths are absolute and stay the same from one install to the next. */
export interface Program {
  readonly node: string
  readonly script: string
  readonly version: string
}

export type Scope = "user" | "project"

/** A request of install, for one scope. */
export interface FileRequest {
  readonly places: Places
  readonly scope: Scope
  readonly program: Program
  /** The text of SKILL.md. */
  readonly skill: string
  /** The reaction to an edit of a path that another agent has claimed; undefined for nothing. */
  readonly claims: "warn" | "block" | undefined
}

/** A file that is ours as a whole. */
export interface TextFile {
  readonly kind: "text"
  readonly path: string
  readonly text: string
}

export type HarnessFile = ConfigFile | TextFile

export interface HarnessSpec {
  readonly name: Harness
  readonly title: string
  /** Names of its program. */
  readonly programs: readonly string[]
  /** Returns the directories that exist where it has been used. */
  folders(places: Places): readonly string[]
  /** The reason why it has no project scope; undefined if it has one. */
  readonly noProject?: string
  /** Events whose hooks are registered, in its own names. */
  readonly events: readonly string[]
  /** The event before a tool call, which is registered for claims only. */
  readonly claimEvent: string
  /** Returns what install writes. @throws {Error} if it cannot hold our command line */
  files(request: FileRequest): readonly HarnessFile[]
  /** A step that is left to the user, once. */
  readonly afterInstall?: string
  readonly facts: HarnessFacts
}

/** The row of the harness in doc/harnesses.md. */
interface HarnessFacts {
  /** The moments at which text reaches the model's context. */
  readonly inject: string
  /** The way to wake an idle session. */
  readonly wake: string
  /** The evidence that it was. */
  readonly proof: string
  readonly limits: string
}

/** Returns the command line of a hook, for a POSIX shell. It holds nothing that changes between sessions. */
export function hookLine(harness: Harness, event: string, { program, claims }: FileRequest, isClaim = false) {
  const words = [program.node, program.script, "hook", event, "--harness", harness]
  return [...words, ...(isClaim && claims !== undefined ? ["--claims", claims] : [])].map(shellWord).join(" ")
}

/** Returns our MCP server in the form that most harnesses share. */
export function mcpServer({ program }: FileRequest) {
  return { command: program.node, args: [program.script, "mcp"] }
}

export function member(path: readonly string[], value: unknown): Addition {
  return { kind: "member", path, value }
}

export function item(path: readonly string[], value: unknown): Addition {
  return { kind: "item", path, value }
}

/** Returns the hooks of a file with the layout of Claude Code's, which several harnesses share. */
export function groupedHooks(
  { name, events, claimEvent }: Pick<HarnessSpec, "name" | "events" | "claimEvent">,
  request: FileRequest,
  options: { timeout: (event: string) => number; matcher?: (event: string) => string | undefined },
): Pick<ConfigFile, "additions" | "otherPlaces"> {
  const hook = (event: string, isClaim = false): Addition => {
    const matcher = options.matcher?.(event)
    const handler = {
      ...{ type: "command", command: hookLine(name, event, request, isClaim) },
      timeout: options.timeout(event),
    }
    return item(["hooks", event], { ...(matcher === undefined ? {} : { matcher }), hooks: [handler] })
  }
  return {
    additions: [
      ...events.map((event) => hook(event)),
      ...(request.claims === undefined ? [] : [hook(claimEvent, true)]),
    ],
    otherPlaces: [{ kind: "item", path: ["hooks", claimEvent] }],
  }
}

/** Seconds after which a harness ends a hook of ours, which takes a fraction of one. */
export const hookTimeoutS = 10

/** Returns our skill in a folder of skills. */
export function skillFile(folder: string, { skill }: FileRequest): TextFile {
  return { kind: "text", path: join(folder, "agentchat", "SKILL.md"), text: skill }
}

/** Formats a JSON file that is ours as a whole. */
export function jsonFile(path: string, value: unknown): TextFile {
  return { kind: "text", path, text: `${JSON.stringify(value, null, 2)}\n` }
}
