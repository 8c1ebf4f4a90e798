import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect, createServer, type Server, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { until } from "./condition.js"
import type { NatsWitness } from "./nats-witness.js"

const host = "127.0.0.1"
const startMs = 30_000
const clusterTries = 3

/** Options of a server; a free port is chosen by default. */
interface NatsServerOptions {
  readonly port?: number
  /** Further lines of its configuration file. */
  readonly config?: string
}

/** A nats-server process with JetStream, whose store survives `stop` and `kill`. */
export class NatsServer {
  readonly port: number
  /** Its store, and `server.log`. */
  readonly dir = mkdtempSync(join(tmpdir(), "agentchat-nats-"))
  #child: ChildProcess | undefined
  #output = ""

  private constructor(port: number, config: string) {
    this.port = port
    const lines = [
      `listen: "${host}:${port}"`,
      `jetstream { store_dir: ${JSON.stringify(join(this.dir, "store"))} }`,
      config,
    ]
    writeFileSync(this.#configFile, `${lines.join("\n")}\n`)
  }

  /** Resolves once the server accepts connections; the caller has to {@link dispose} of it. */
  static async start(options: NatsServerOptions = {}): Promise<NatsServer> {
    const server = new NatsServer(options.port ?? (await freePort()), options.config ?? "")
    try {
      await server.startAgain()
    } catch (error) {
      await server.dispose()
      throw error
    }
    return server
  }

  get url(): string {
    return `nats://${host}:${this.port}`
  }

  /** Starts it again on its port and store. */
  async startAgain(): Promise<void> {
    const child = spawn("nats-server", ["-c", this.#configFile], { stdio: ["ignore", "ignore", "pipe"] })
    this.#child = child
    this.#output = ""
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#output = (this.#output + text).slice(-20_000)
      appendFileSync(join(this.dir, "server.log"), text)
    })
    const isReady = (): boolean => {
      if (child.exitCode !== null) throw new Error(`nats-server ended:\n${this.#output}`)
      return this.#output.includes("Server is ready")
    }
    await until("nats-server is ready", isReady, startMs)
  }

  /** Shuts it down. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM")
  }

  /** Kills it with `kill -9`. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL")
  }

  /** Kills it, and starts it again with an empty store. */
  async startEmpty(): Promise<void> {
    await this.kill()
    rmSync(join(this.dir, "store"), { recursive: true, force: true })
    await this.startAgain()
  }

  /** Kills it and removes its store. */
  async dispose(): Promise<void> {
    await this.kill()
    rmSync(this.dir, { recursive: true, force: true })
  }

  get #configFile(): string {
    return join(this.dir, "nats.conf")
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child?.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, "exit")
    child.kill(signal)
    await ended
  }
}

/**
 * Starts the nodes of one JetStream cluster; the caller has to dispose of each.
 * @param routing - additional settings of the cluster
 */
export async function startNatsCluster(size: number, routing = ""): Promise<NatsServer[]> {
  for (let tries = 1; ; tries++) {
    // Another process may take a port in the meantime.
    const ports = await Promise.all(Array.from({ length: size * 2 }, freePort))
    const routes = ports.slice(size).map((port) => `"nats://${host}:${port}"`)
    const started = await Promise.allSettled(
      Array.from({ length: size }, (_, i) =>
        NatsServer.start({
          port: ports[i] ?? 0,
          config: `server_name: node${i}
cluster { name: agentchat, listen: "${host}:${ports[size + i]}", routes: [${routes.join(", ")}]
  ${routing}
}`,
        }),
      ),
    )
    const servers = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []))
    if (servers.length === size) return servers
    await Promise.all(servers.map((server) => server.dispose()))
    if (tries === clusterTries) throw new Error("the nodes of the cluster do not start")
  }
}

/** A proxy to a server that can stop passing bytes without closing connections. */
export class CuttableNetwork {
  readonly #server: Server
  readonly #targetPort: number
  readonly #record: (() => ReturnType<NatsWitness["record"]>) | undefined
  readonly #sockets = new Set<Socket>()
  readonly #inbound = new Set<Socket>()
  #waiting: Socket[] = []
  #isCut = false

  private constructor(targetPort: number, record: (() => ReturnType<NatsWitness["record"]>) | undefined) {
    this.#targetPort = targetPort
    this.#record = record
    this.#server = createServer((socket) => this.#accept(socket))
  }

  /** @param record - called per connection, returns the recorder of its bytes */
  static async to(
    { port }: NatsServer,
    record?: () => ReturnType<NatsWitness["record"]>,
  ): Promise<CuttableNetwork> {
    const network = new CuttableNetwork(port, record)
    network.#server.listen(0, host)
    await once(network.#server, "listening")
    return network
  }

  get url(): string {
    return `nats://${host}:${portOf(this.#server)}`
  }

  /** Number of client connections. */
  get connections(): number {
    return this.#inbound.size
  }

  /** Stops passing bytes, on existing and new connections. */
  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.pause()
  }

  /** Passes all bytes that were held back, and continues. */
  heal(): void {
    this.#isCut = false
    for (const socket of this.#sockets) socket.resume()
    for (const socket of this.#waiting.splice(0)) this.#join(socket)
  }

  /** Breaks every connection; accepts new ones. */
  breakAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.breakAll()
    this.#server.close()
    await once(this.#server, "close")
  }

  #accept(socket: Socket): void {
    this.#keep(socket)
    this.#inbound.add(socket)
    socket.on("close", () => this.#inbound.delete(socket))
    if (this.#isCut) this.#waiting.push(socket)
    else this.#join(socket)
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on("error", () => {})
    socket.on("close", () => this.#sockets.delete(socket))
  }

  #join(socket: Socket): void {
    if (socket.destroyed) return
    const target = connect(this.#targetPort, host)
    this.#keep(target)
    const witness = this.#record?.()
    for (const [from, to, hear] of [
      [socket, target, (bytes: Buffer) => witness?.toServer(bytes)],
      [target, socket, (bytes: Buffer) => witness?.toClient(bytes)],
    ] as const) {
      from.on("data", (bytes: Buffer) => {
        hear(bytes)
        to.write(bytes)
      })
      from.on("close", () => to.destroy())
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, host)
  await once(server, "listening")
  const port = portOf(server)
  server.close()
  await once(server, "close")
  return port
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("the server does not listen")
  return address.port
}
