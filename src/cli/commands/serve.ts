import { resolve } from "node:path"
import { ChatError } from "../../protocol/errors.js"
import { defaultLimits, defaultPort } from "../../protocol/limits.js"
import { defineCommand, flag, value } from "../command.js"
import { readBackboneAddress } from "../input/backbone-address.js"
import { readGuardFile } from "../input/guard-file.js"
import { readNamedFile } from "../input/named-file.js"
import { readOperatorsFile } from "../input/operators-file.js"
import { duration, nick, port, rate, seconds, someText, wholeNumber } from "../input/values.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { programVersion } from "../program-version.js"

const { retainedMessages: largestBuffer, durableMessages } = defaultLimits
const leaseS = defaultLimits.leaseMs / 1_000
const largestBurst = 1_000_000

export const serve = defineCommand({
  args: {},
  options: {
    port: value("PORT", `where to listen; ${defaultPort} unless given, 0 for any free one`, port),
    host: value("ADDRESS", "on which address; 127.0.0.1 unless given, 0.0.0.0 for all", someText),
    name: value("NAME", "what the relay calls itself", nick),
    "log-messages": flag("log the text of messages too (never done otherwise)"),
    "buffer-size": value(
      "N",
      `messages replayed to a newcomer; ${defaultLimits.bufferSize} unless given`,
      wholeNumber(0, largestBuffer),
    ),
    rate: value("RATE", "messages of one agent: 1/s unless given; 30/min, 100000/s", rate),
    burst: value(
      "N",
      `messages at once after a pause; ${defaultLimits.rateBurst} unless given`,
      wholeNumber(1, largestBurst),
    ),
    data: value(
      "DIR",
      "keep channels, mail and tasks on disk in DIR; survives kill -9",
      someText,
      "directory",
    ),
    backbone: value(
      "URL",
      "keep them in the NATS JetStream at nats://HOST:PORT, or as @FILE says; relays there are one",
      someText,
    ),
    lease: value("S", `a worker has a task for S seconds at a time; ${leaseS} unless given`, seconds),
    retain: value("N", `messages kept of a durable channel; ${durableMessages} unless given`, wholeNumber(1)),
    "retain-age": value("TIME", "how long they are kept: 30d unless given; 90s, 10m, 24h", duration),
    "tls-cert": value("FILE", "certificate in PEM, for wss://; with --tls-key", someText, "file"),
    "tls-key": value("FILE", "its private key in PEM", someText, "file"),
    guards: value("FILE", "numbers of the guards that differ from the defaults, in YAML", someText, "file"),
    operators: value(
      "FILE",
      "keys whom no guard stops and who lift what one stopped, a did:key or @id a line",
      someText,
      "file",
    ),
    compat: flag("also let in clients of the first AgentChat"),
  },
  takesUrl: false,
  examples: [
    "agentchat serve",
    "agentchat serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem",
    "agentchat serve --data ./relay-data --retain-age 7d",
    "agentchat serve --backbone nats://127.0.0.1:4222",
    "agentchat serve --backbone @nats-url",
    "agentchat serve --guards guards.yaml --operators operators.txt",
  ],
  notes: [
    "Without --data or --backbone everything is in memory, nothing on disk, and a restart is a clean slate.",
    "Ends on SIGINT or SIGTERM, after telling its clients.",
  ],
  async run({ io, config, clock, system }, { options }) {
    const { data, backbone } = options
    if (data !== undefined && backbone !== undefined) {
      throw new ChatError("USAGE", "--backbone: not together with --data; what is kept has one place")
    }
    const tls = readTls(options["tls-cert"], options["tls-key"])
    const { guards, operators } = await readRules(options, system.cwd)
    const { startRelay } = await import("../../server/relay.js")
    const interruption = system.interruption()
    const relay = await startRelay({
      port: options.port ?? defaultPort,
      host: options.host ?? "127.0.0.1",
      logMessages: options["log-messages"],
      compat: options.compat,
      limits: omitUndefined({
        bufferSize: options["buffer-size"],
        ratePerSecond: options.rate,
        rateBurst: options.burst,
        leaseMs: options.lease,
        durableMessages: options.retain,
        durableMs: options["retain-age"],
      }),
      ...omitUndefined({
        name: options.name,
        tls,
        guards,
        operators,
        data: data === undefined ? undefined : resolve(system.cwd, data),
        backbone: backbone === undefined ? undefined : readBackboneAddress(backbone, system.cwd),
      }),
      clock,
      version: programVersion(),
      log: (line) => io.talk(`${new Date(clock.now()).toISOString()} ${line}`),
    })
    const { url, port: openPort, serverId } = relay
    if (config.json) io.json({ ok: true, url, port: openPort, server_id: serverId })
    else io.out(`relay on ${url}`)
    await aborted(interruption)
    await relay.stop()
    return 0
  },
})

/** What the operator's files say of the guards. */
async function readRules(
  { guards, operators }: { readonly guards: string | undefined; readonly operators: string | undefined },
  cwd: string,
) {
  if (operators === undefined && guards === undefined) return {}
  const { Operators } = await import("../../server/operators.js")
  return {
    guards: guards === undefined ? undefined : await readGuardFile(resolve(cwd, guards), "--guards"),
    operators:
      operators === undefined
        ? undefined
        : readOperatorsFile(resolve(cwd, operators), (name) => Operators.of([name])),
  }
}

function readTls(cert: string | undefined, key: string | undefined) {
  if (cert === undefined && key === undefined) return undefined
  if (cert === undefined || key === undefined) {
    throw new ChatError(
      "USAGE",
      `--tls-${cert === undefined ? "cert" : "key"}: is missing; give both or neither`,
    )
  }
  return {
    cert: readNamedFile(cert, "--tls-cert").toString("utf8"),
    key: readNamedFile(key, "--tls-key").toString("utf8"),
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener("abort", () => resolve())
  })
}
