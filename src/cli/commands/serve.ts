import { appendFileSync, writeSync } from "node:fs"
import { resolve } from "node:path"
import { formatLogLine, isLogged, type Log, type LogStyle, logFormats, logLevels } from "../../base/log.js"
import { omitUndefined, stackOf } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"
import { defaultLimits, defaultPort } from "../../protocol/limits.js"
import type { Relay } from "../../server/relay.js"
import { openTracer } from "../../tracing/open-tracer.js"
import { defineCommand, flag, flagOr, repeated, value } from "../command.js"
import type { Context } from "../context.js"
import { expectedFailure } from "../exit-status.js"
import { readGuardFile } from "../input/guard-file.js"
import {
  exposureNote,
  metricsAccess,
  readBackboneAddress,
  readOperatorsFile,
  readTls,
  space,
} from "../input/serve-options.js"
import {
  closeChoice,
  duration,
  httpUrl,
  nick,
  origin,
  port,
  rate,
  seconds,
  someText,
  wholeNumber,
} from "../input/values.js"
import { inheritedSocket, notifyReady } from "../relay/service-manager.js"

const { retainedMessages: maxBuffer, durableMessages } = defaultLimits
const leaseS = defaultLimits.leaseMs / 1_000
const maxBurst = 1_000_000
/** A file descriptor. */
const standardError = 2

export const serve = defineCommand({
  args: {},
  options: {
    port: value("PORT", `port to listen on (default ${defaultPort}); 0 for any free port`, port),
    host: value("ADDRESS", "address (default 127.0.0.1); 0.0.0.0 for all", someText),
    name: value("NAME", "name of the relay", nick),
    space: repeated("NAME", "a chat of its own at ws://HOST:PORT/space/NAME", space),
    log: value("FILE", "log there instead of to stderr; FILE.1 at 1 MiB", someText, "file"),
    "log-format": value("FORM", "text (default) or json", closeChoice(logFormats), logFormats),
    "log-level": value("LEVEL", "error, warn or info (default)", closeChoice(logLevels), logLevels),
    metrics: flagOr("FILE", "GET /metrics, here or with the token in FILE", "", someText),
    "log-messages": flag("also log the text of messages"),
    "buffer-size": value(
      "N",
      `messages replayed to a new member (default ${defaultLimits.bufferSize})`,
      wholeNumber(0, maxBuffer),
    ),
    rate: value("RATE", "messages per agent (default 1/s), such as 30/min", rate),
    burst: value(
      "N",
      `messages at once after a pause (default ${defaultLimits.rateBurst})`,
      wholeNumber(1, maxBurst),
    ),
    data: value("DIR", "store channels, messages and tasks on disk, in DIR", someText, "directory"),
    backbone: value("URL", "store them in NATS: nats://HOST:PORT or @FILE", someText),
    lease: value("S", `seconds until a task is reassigned (default ${leaseS})`, seconds),
    retain: value("N", `messages kept of a channel in a store (default ${durableMessages})`, wholeNumber(1)),
    "retain-age": value("TIME", "how long they are kept (default 30d), such as 24h", duration),
    "tls-cert": value("FILE", "certificate in PEM, for wss://; needs --tls-key", someText, "file"),
    "tls-key": value("FILE", "private key in PEM", someText, "file"),
    "trusted-proxy": repeated("IP", "proxy (or IP/BITS) whose X-Forwarded-For counts", someText),
    guards: value("FILE", "guard limits that differ from the defaults, in YAML", someText, "file"),
    closed: flag("let in only agents with a grant: see agentchat mint"),
    "two-person": flag("let only two operators together delete history"),
    operators: value("FILE", "keys that may lift guards: a did:key or @id per line", someText, "file"),
    "allow-origin": repeated("ORIGIN", "pages that may connect: https://example.org", origin),
    "http-base": value("URL", "what URLs of coordination channels begin with", httpUrl),
    compat: flag("also accept clients of the first AgentChat"),
  },
  takesUrl: false,
  examples: [
    "agentchat serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem",
    "agentchat serve --closed --data ./relay-data --operators operators.txt",
  ],
  async run({ io, config, clock, system, env }, { options }) {
    const { data, backbone } = options
    refuseMismatch(options)
    const pathOf = (path: string) => resolve(system.cwd, path)
    const readFiles = () => readReloaded(system.cwd, options)
    const files = await readFiles()
    const { tls } = files
    const style = { format: options["log-format"], level: options["log-level"] }
    const log = await openLog(options.log === undefined ? undefined : pathOf(options.log), {
      io,
      clock,
      style,
    })
    const tracer = await openTracer(env, "agentchat-relay")
    const { startRelay } = await import("../../server/relay.js")
    const interruption = system.interruption()
    const relay = await startRelay({
      port: options.port ?? defaultPort,
      host: options.host ?? "127.0.0.1",
      logMessages: options["log-messages"],
      compat: options.compat,
      closed: options.closed,
      twoPerson: options["two-person"],
      limits: omitUndefined({
        bufferSize: options["buffer-size"],
        ratePerSecond: options.rate,
        rateBurst: options.burst,
        leaseMs: options.lease,
        durableMessages: options.retain,
        durableMs: options["retain-age"],
      }),
      ...files,
      ...omitUndefined({
        name: options.name,
        spaces: options.space,
        allowedOrigins: options["allow-origin"],
        trustedProxies: options["trusted-proxy"],
        metrics: metricsAccess(options.metrics, system.cwd),
        listenFd: inheritedSocket(env, system.pid),
        httpBase: options["http-base"],
        data: data === undefined ? undefined : pathOf(data),
        backbone: backbone === undefined ? undefined : readBackboneAddress(backbone, system.cwd),
      }),
      clock,
      version: system.version,
      log,
      tracer,
    })
    const { url } = relay
    await report(relay, tls?.cert, { io, config })
    const exposure = exposureNote(new URL(url).hostname, options.closed, tls !== undefined)
    if (exposure !== undefined) io.note(exposure)
    system.onHangup(() => void reload(relay, readFiles, log))
    // The other sessions are not at fault.
    system.onUncaught((error) => log(`unexpected error: ${stackOf(error)}`, "error"))
    const { serveStoreControl } = await import("../relay/store-control.js")
    const controls = await Promise.all(
      relay.spaces.flatMap((one) => (one.data === undefined ? [] : [serveStoreControl(one.data, one, log)])),
    )
    await notifyReady(env, log)
    await aborted(interruption)
    for (const control of controls) control?.close()
    await relay.stop()
    await tracer.close()
    return 0
  },
})

/** Prints the addresses of the relay. */
async function report(
  { url, port: openPort, spaces }: Relay,
  certificate: string | undefined,
  { io, config }: Pick<Context, "io" | "config">,
): Promise<void> {
  const pin = certificate === undefined ? undefined : await pinOf(certificate)
  const all = spaces.map(({ name, url: address, serverId }) => ({ name, url: address, server_id: serverId }))
  const isPlain = all[0]?.name === undefined
  if (config.json) {
    const ids = isPlain ? { server_id: all[0]?.server_id } : { spaces: all }
    io.json({ ok: true, url, port: openPort, ...ids, ...omitUndefined({ pin }) })
    return
  }
  io.out(`relay on ${url}${pin === undefined ? "" : `, key of its certificate: #sha256=${pin}`}`)
  for (const one of isPlain ? [] : all) io.out(`space ${one.name ?? ""} on ${one.url}`)
}

async function pinOf(certificate: string): Promise<string> {
  const [{ X509Certificate }, { keyPinOf }] = await Promise.all([
    import("node:crypto"),
    import("../../client/server-url.js"),
  ])
  return keyPinOf(new X509Certificate(certificate))
}

/** @throws {ChatError} USAGE for options that exclude or need each other */
function refuseMismatch({
  data,
  backbone,
  closed,
  operators,
}: Readonly<Record<"data" | "backbone" | "operators", string | undefined>> & {
  readonly closed: boolean
}): void {
  if (data !== undefined && backbone !== undefined) {
    throw new ChatError("USAGE", "--data and --backbone are mutually exclusive")
  }
  if (closed && data === undefined && backbone === undefined) {
    throw new ChatError("USAGE", "--closed: needs --data or --backbone, to know which grants were used")
  }
  if (closed && operators === undefined) {
    throw new ChatError("USAGE", "--closed: needs --operators, whose grants let agents in")
  }
}

async function openLog(
  path: string | undefined,
  { io, clock, style }: Pick<Context, "io" | "clock"> & { readonly style: LogStyle },
): Promise<Log> {
  if (path === undefined) {
    return (line, level = "info") => {
      if (!isLogged(level, style.level ?? "info")) return
      const text = formatLogLine(clock.now(), line, level, style)
      if (style.format === "json") writeSync(standardError, `${text}\n`)
      else io.err(text)
    }
  }
  const { EventLog } = await import("../../daemon/files/append-log.js")
  // The user chose the file, which may be a link or a device.
  const append = (file: string, text: string) => appendFileSync(file, text, { mode: 0o600 })
  const log = new EventLog(path, clock, style, append)
  return (line, level) => log.write(line, level)
}

type ReloadedOptions = Readonly<Record<"guards" | "operators" | "tls-cert" | "tls-key", string | undefined>>

/** Reads the files that a running relay reads again. */
async function readReloaded(cwd: string, options: ReloadedOptions) {
  const { guards, operators } = options
  return omitUndefined({
    tls: readTls(options["tls-cert"], options["tls-key"]),
    guards: guards === undefined ? undefined : await readGuardFile(resolve(cwd, guards), "--guards"),
    operators: operators === undefined ? undefined : await readOperators(resolve(cwd, operators)),
  })
}

/** Reads the files again. If one is invalid, all stay as they were. */
async function reload(
  relay: Relay,
  readFiles: () => ReturnType<typeof readReloaded>,
  log: Log,
): Promise<void> {
  try {
    relay.reload(await readFiles())
    log("read again: --guards, --operators and --tls-cert")
  } catch (error) {
    const failure = expectedFailure(error)
    if (failure === undefined) throw error
    log(`not read again: ${failure.message}`)
  }
}

async function readOperators(path: string): Promise<string[]> {
  const { Operators } = await import("../../server/operators.js")
  return readOperatorsFile(path, (name) => Operators.of([name]))
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener("abort", () => resolve())
  })
}
