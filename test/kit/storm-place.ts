import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { until } from "./condition.js"
import { CuttableNetwork, type NatsServer, startNatsCluster } from "./nats.js"
import { type Loss, NatsWitness } from "./nats-witness.js"
import { agentchat, RelayProcess, Workspace } from "./program.js"
import { type Fault, nodeCount, relayCount } from "./storm-plan.js"

/** Nothing takes longer on any machine that is of use. */
export const patienceMs = 120_000
/** Short enough for a lease to end during a storm. */
const leaseS = 5

/** Who is to run in a workspace. */
export interface Resident {
  readonly name: string
  readonly role: string
  readonly relay: number
}

/** Relays over a cluster of NATS, each with a network of its own to every node, and workspaces for daemons. */
export class StormPlace {
  readonly workspaces: readonly Workspace[]
  readonly #nodes: readonly NatsServer[]
  /** By relay, then by node. */
  readonly #networks: CuttableNetwork[][] = []
  readonly #relays: RelayProcess[] = []
  readonly #witness = new NatsWitness()
  /** What each relay logged. */
  readonly #logs = mkdtempSync(join(tmpdir(), "agentchat-storm-logs-"))

  private constructor(nodes: readonly NatsServer[], processes: number) {
    this.#nodes = nodes
    this.workspaces = Array.from({ length: processes }, () => new Workspace())
  }

  /** {@link dispose} is the caller's duty. */
  static async open(processes: number): Promise<StormPlace> {
    // Relays that learnt of the nodes' own addresses would go round a network that is cut.
    const place = new StormPlace(await startNatsCluster(nodeCount, "no_advertise: true"), processes)
    try {
      await place.#startRelays()
    } catch (error) {
      await place.dispose()
      throw error
    }
    return place
  }

  /** Starts daemons in a workspace; those that run go on. */
  async settle(workspace: Workspace, residents: readonly Resident[]): Promise<void> {
    for (const { name, role, relay } of residents) {
      const url = this.#relays[relay]?.url ?? ""
      const args = ["daemon", url, "--background", "--name", name, "--role", role]
      await until(
        `the start of ${name}`,
        async () => [0, 10].includes((await agentchat(workspace, ...args)).status),
        patienceMs,
      )
    }
  }

  async break({ kind, target }: Fault): Promise<void> {
    if (kind === "relay") await this.#relays[target]?.kill()
    else if (kind === "daemons") await killDaemons(this.workspaces[target])
    else if (kind === "node") await this.#nodes[target]?.kill()
    else for (const network of this.#networks[target] ?? []) network.cut()
  }

  /** @param residents - by workspace */
  async fix({ kind, target }: Fault, residents: readonly (readonly Resident[])[]): Promise<void> {
    const workspace = this.workspaces[target]
    if (kind === "relay") await this.#restart(this.#relays[target])
    else if (kind === "node") {
      await this.#nodes[target]?.startAgain()
      await this.#whole()
    } else if (kind !== "daemons") await this.#heal(target, kind === "cut")
    else if (workspace !== undefined) await this.settle(workspace, residents[target] ?? [])
  }

  /** What NATS lost of messages and tasks. Nobody may write any more. */
  async findLosses(): Promise<Loss[]> {
    await this.#whole()
    return this.#witness.findLosses(this.#nodes[0]?.url ?? "", /^(?:agentchat_log_.*|KV_agentchat_task)$/)
  }

  /** Copies everything there is, and ends all relays for it. @returns where to */
  async keep(): Promise<string> {
    const directory = mkdtempSync(join(tmpdir(), "agentchat-storm-"))
    await Promise.all(this.#relays.map((relay) => relay.kill()))
    cpSync(this.#logs, join(directory, "relays"), { recursive: true })
    writeFileSync(join(directory, "wire.log"), this.#witness.log.map((line) => `${line}\n`).join(""))
    const options = { recursive: true, filter: (path: string) => !path.endsWith(".sock") }
    this.workspaces.forEach(({ dir }, index) => {
      cpSync(dir, join(directory, `workspace${index}`), options)
    })
    this.#nodes.forEach(({ dir }, index) => {
      cpSync(dir, join(directory, `node${index}`), options)
    })
    return directory
  }

  async dispose(): Promise<void> {
    await Promise.all(this.workspaces.map((workspace) => agentchat(workspace, "daemon", "--stop-all")))
    await Promise.all(this.#relays.map((relay) => relay.kill()))
    for (const workspace of this.workspaces) workspace.dispose()
    await Promise.all(this.#networks.flat().map((network) => network.close()))
    await Promise.all(this.#nodes.map((node) => node.dispose()))
    rmSync(this.#logs, { recursive: true, force: true })
  }

  async #startRelays(): Promise<void> {
    for (let relay = 0; relay < relayCount; relay++) {
      const networks = await Promise.all(
        this.#nodes.map((node, index) =>
          CuttableNetwork.to(node, () => this.#witness.overhear(`relay${relay} at node${index}`)),
        ),
      )
      this.#networks.push(networks)
      const hosts = networks.map(({ url }) => url.replace("nats://", "")).join(",")
      this.#relays.push(await startRelay(`nats://${hosts}`, join(this.#logs, `relay${relay}.log`)))
    }
    await this.#whole()
  }

  /** A NATS that is out of reach for the moment keeps a relay from starting. */
  async #restart(relay: RelayProcess | undefined): Promise<void> {
    const isUp = async () => {
      try {
        await relay?.restart()
        return true
      } catch {
        return false
      }
    }
    await until("the relay is back", isUp, patienceMs)
  }

  /** @param isLong - the relay is to have noticed before */
  async #heal(relay: number, isLong: boolean): Promise<void> {
    if (isLong) await this.#told(relay, false)
    for (const network of this.#networks[relay] ?? []) network.heal()
    await this.#told(relay, true)
  }

  /** Waits until a relay says whether it reaches its store. */
  async #told(relay: number, isReachable: boolean): Promise<void> {
    const url = this.#relays[relay]?.url.replace("ws:", "http:") ?? ""
    const isSo = async () => {
      const health = (await (await fetch(`${url}/health`)).json()) as { store: { reachable: boolean } }
      return health.store.reachable === isReachable
    }
    await until(
      `relay ${relay} says ${isReachable ? "that it has" : "that it lost"} its store`,
      isSo,
      patienceMs,
    )
  }

  /** Waits until every node has everything: before that the next must not die. */
  async #whole(): Promise<void> {
    const [node] = this.#nodes
    if (node === undefined) return
    const connection = await connect({ servers: node.url })
    try {
      const manager = await jetstreamManager(connection, { checkAPI: false })
      const isWhole = async () => {
        const streams = await manager.streams.list().next()
        return streams.every(({ config, cluster }) => {
          const replicas = cluster?.replicas ?? []
          return (
            (cluster?.leader ?? "") !== "" &&
            replicas.length === config.num_replicas - 1 &&
            replicas.every(({ current, offline, lag }) => current && !offline && !lag)
          )
        })
      }
      await until("the cluster is whole", async () => await isWhole().catch(() => false), patienceMs)
    } finally {
      await connection.close()
    }
  }
}

function startRelay(backbone: string, logFile: string): Promise<RelayProcess> {
  return RelayProcess.startLogging(
    logFile,
    ...["--backbone", backbone, "--lease", String(leaseS), "--rate", "100000/s", "--burst", "100000"],
  )
}

/** Kills the process of a workspace's daemons, without warning. */
async function killDaemons(workspace: Workspace | undefined): Promise<void> {
  const list = JSON.parse(
    (await agentchat(workspace ?? new Workspace(), "daemon", "--list", "--json")).stdout,
  ) as {
    name: string
    running: boolean
  }[]
  const name = list.find(({ running }) => running)?.name
  if (workspace === undefined || name === undefined) return
  const { pid } = JSON.parse(readFileSync(workspace.file(name, "daemon.pid"), "utf8")) as { pid: number }
  process.kill(pid, "SIGKILL")
  await until("the end of the daemons", () => !existsSync(`/proc/${pid}/exe`))
}
