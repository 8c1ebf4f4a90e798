import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { agentchat } from "./command-server.js"
import { until } from "./condition.js"
import { CuttableNetwork, type NatsServer, startNatsCluster } from "./nats.js"
import { type Loss, NatsWitness } from "./nats-witness.js"
import { killDaemon, RelayProcess, Workspace } from "./program.js"
import { type Fault, nodeCount, relayCount } from "./storm-plan.js"

/** Time limit for each step. */
export const patienceMs = 120_000
/** Short enough for a lease to end during a storm. */
const leaseS = 5

/** An agent whose daemon runs in a workspace. */
export interface Resident {
  readonly name: string
  readonly role: string
  readonly relay: number
}

/** Relays on a NATS cluster, each with its own proxies to the nodes, and workspaces for daemons. */
export class StormPlace {
  readonly workspaces: readonly Workspace[]
  readonly #nodes: readonly NatsServer[]
  /** By relay, then by node. */
  readonly #networks: CuttableNetwork[][] = []
  readonly #relays: RelayProcess[] = []
  readonly #witness = new NatsWitness()
  /** Directory of the log files of the relays. */
  readonly #logs = mkdtempSync(join(tmpdir(), "agentchat-storm-logs-"))

  private constructor(nodes: readonly NatsServer[], processes: number) {
    this.#nodes = nodes
    this.workspaces = Array.from({ length: processes }, () => new Workspace())
  }

  /** The caller has to {@link dispose} of it. */
  static async open(processes: number): Promise<StormPlace> {
    // Relays that know the addresses of the nodes would bypass a proxy that is cut.
    const place = new StormPlace(await startNatsCluster(nodeCount, "no_advertise: true"), processes)
    try {
      await place.#startRelays()
    } catch (error) {
      await place.dispose()
      throw error
    }
    return place
  }

  /** Starts daemons in a workspace, unless they are running. */
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
      await this.#replicated()
    } else if (kind !== "daemons") await this.#heal(target, kind === "cut")
    else if (workspace !== undefined) await this.settle(workspace, residents[target] ?? [])
  }

  /** Returns the messages and tasks that NATS lost. Nobody may write meanwhile. */
  async findLosses(): Promise<Loss[]> {
    await this.#replicated()
    return this.#witness.findLosses(this.#nodes[0]?.url ?? "", /^(?:agentchat_log_.*|KV_agentchat_task)$/)
  }

  /** Kills all relays and copies all files. @returns the directory of the copy */
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
          CuttableNetwork.to(node, () => this.#witness.record(`relay${relay} at node${index}`)),
        ),
      )
      this.#networks.push(networks)
      const hosts = networks.map(({ url }) => url.replace("nats://", "")).join(",")
      this.#relays.push(await startRelay(`nats://${hosts}`, join(this.#logs, `relay${relay}.log`)))
    }
    await this.#replicated()
  }

  /** Restarts a relay, and retries while it cannot reach NATS. */
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

  /** @param isLong - wait first until the relay has noticed the fault */
  async #heal(relay: number, isLong: boolean): Promise<void> {
    if (isLong) await this.#reachability(relay, false)
    for (const network of this.#networks[relay] ?? []) network.heal()
    await this.#reachability(relay, true)
  }

  /** Waits until a relay reports whether it can reach its store. */
  async #reachability(relay: number, isReachable: boolean): Promise<void> {
    const url = this.#relays[relay]?.url.replace("ws:", "http:") ?? ""
    const isSo = async () => {
      const health = (await (await fetch(`${url}/health`)).json()) as { store: { reachable: boolean } }
      return health.store.reachable === isReachable
    }
    await until(`relay ${relay} ${isReachable ? "reaches" : "has lost"} its store`, isSo, patienceMs)
  }

  /** Waits until every node is up to date; the next node must not fail before. */
  async #replicated(): Promise<void> {
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

/** Kills the process that runs the daemons of a workspace. */
async function killDaemons(workspace: Workspace | undefined): Promise<void> {
  const list = JSON.parse(
    (await agentchat(workspace ?? new Workspace(), "daemon", "--list", "--json")).stdout,
  ) as {
    name: string
    running: boolean
  }[]
  const name = list.find(({ running }) => running)?.name
  if (workspace === undefined || name === undefined) return
  await killDaemon(workspace, name)
}
