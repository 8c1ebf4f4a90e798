/** The files by which systemd and launchd run a relay or a daemon. */
import { ChatError } from "../../protocol/errors.js"

/** A program that the manager of services keeps running. */
export interface ServiceSpec {
  /** `agentchat-relay`, or `agentchat-daemon-` and its name. */
  readonly name: string
  readonly kind: "relay" | "daemon"
  /** True for a service of the user, not of the machine. */
  readonly isUser: boolean
  /** The program and the arguments before those of the command. */
  readonly program: readonly string[]
  /** Options that the user gave for `serve` or `daemon`. */
  readonly options: readonly string[]
  /** The directory of a daemon's project, and that of its files. */
  readonly cwd: string
  readonly home: string
  /** The user that a daemon of the machine runs as. */
  readonly account: string
}

/** Begins each file that `service install` writes; others are neither replaced nor removed. */
export const marker = "Written by: agentchat service install"

/** The directory of systemd or launchd for the state of a relay, below which its store is. */
const stateDirectory = "agentchat"

/** Settings that keep a service from everything it does not need. Node.js makes code at run time, so memory may be executable. */
const hardening = [
  "NoNewPrivileges=yes",
  "LockPersonality=yes",
  "RestrictRealtime=yes",
  "RestrictSUIDSGID=yes",
  "SystemCallArchitectures=native",
  "SystemCallFilter=@system-service",
  "SystemCallFilter=~@privileged @resources",
  "SystemCallErrorNumber=EPERM",
  "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
  "UMask=0077",
]

/** Settings that only the manager of the machine can carry out. */
const isolation = [
  "ProtectSystem=strict",
  "PrivateTmp=yes",
  "PrivateDevices=yes",
  "ProtectClock=yes",
  "ProtectControlGroups=yes",
  "ProtectHostname=yes",
  "ProtectKernelLogs=yes",
  "ProtectKernelModules=yes",
  "ProtectKernelTunables=yes",
  "ProtectProc=invisible",
  "RestrictNamespaces=yes",
  "CapabilityBoundingSet=",
  "RemoveIPC=yes",
]

/** Returns the unit of a service. @throws {ChatError} USAGE for an argument with a line break */
export function systemdUnit(spec: ServiceSpec): string {
  const { kind, name, isUser } = spec
  const service = [
    // `systemd-notify`, which the relay calls, is another process than the main one.
    ...(kind === "relay" ? ["Type=notify", "NotifyAccess=all"] : ["Type=exec"]),
    `ExecStart=${commandOf(spec).map(quoteForSystemd).join(" ")}`,
    ...(kind === "relay" ? ["ExecReload=/bin/kill -HUP $MAINPID"] : []),
    "Restart=on-failure",
    "RestartSec=2",
    "LimitNOFILE=65536",
    ...placeOf(spec),
    ...hardening,
    ...(isUser ? [] : isolation),
  ]
  return [
    `# ${marker}`,
    "[Unit]",
    `Description=agentchat ${kind} (${name})`,
    ...(isUser ? [] : ["After=network-online.target", "Wants=network-online.target"]),
    "",
    "[Service]",
    ...service,
    "",
    "[Install]",
    `WantedBy=${isUser ? "default.target" : "multi-user.target"}`,
    "",
  ].join("\n")
}

/** Returns the property list of a service. @param logFile - for its output */
export function launchdPlist(spec: ServiceSpec, logFile: string): string {
  const { isUser, account, cwd } = spec
  const words = commandOf(spec).map((word) => `    <string>${escapeXml(word)}</string>`)
  const entry = (key: string, value: string) => `  <key>${key}</key>\n  <string>${escapeXml(value)}</string>`
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<!-- ${marker} -->`,
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    '<plist version="1.0">',
    "<dict>",
    entry("Label", spec.name),
    "  <key>ProgramArguments</key>",
    "  <array>",
    ...words,
    "  </array>",
    entry("WorkingDirectory", cwd),
    entry("StandardErrorPath", logFile),
    ...(isUser ? [] : [entry("UserName", account)]),
    "  <key>RunAtLoad</key>",
    "  <true/>",
    "  <key>KeepAlive</key>",
    "  <dict>",
    "    <key>SuccessfulExit</key>",
    "    <false/>",
    "  </dict>",
    "  <key>Umask</key>",
    "  <integer>63</integer>",
    "</dict>",
    "</plist>",
    "",
  ].join("\n")
}

/** Returns the command line of a service. */
function commandOf({ kind, program, options, home }: ServiceSpec): string[] {
  const command = kind === "relay" ? ["serve"] : ["daemon", "--home", home]
  return [...program, ...command, ...options]
}

/** Returns who a service runs as, and where it may write. */
function placeOf({ kind, isUser, account, cwd, home }: ServiceSpec): string[] {
  if (kind === "daemon") {
    const place = [`WorkingDirectory=${escapeSpecifiers(oneLine(cwd))}`]
    return isUser ? place : [...place, `User=${account}`, `ReadWritePaths=${quoteForSystemd(home)}`]
  }
  const state = [
    `StateDirectory=${stateDirectory}`,
    "StateDirectoryMode=0700",
    `WorkingDirectory=%S/${stateDirectory}`,
  ]
  return isUser ? state : [...state, "DynamicUser=yes", "ProtectHome=yes"]
}

/** Quotes a word of a command line. `${STATE_DIRECTORY}` stays a variable. @see systemd.service(5) */
function quoteForSystemd(word: string): string {
  const escaped = escapeSpecifiers(oneLine(word))
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replace(/\$(?!\{STATE_DIRECTORY\})/g, () => "$$")
  return /^[\w./@+=:,-]+$/.test(escaped) ? escaped : `"${escaped}"`
}

function oneLine(text: string): string {
  if (/[\n\r\0]/.test(text)) throw new ChatError("USAGE", `${JSON.stringify(text)}: has a line break`)
  return text
}

function escapeSpecifiers(text: string): string {
  return text.replaceAll("%", "%%")
}

function escapeXml(text: string): string {
  const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" }
  return text.replace(/[&<>]/g, (character) => entities[character] ?? character)
}
