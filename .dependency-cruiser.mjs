/**
 * The rooms of src/, each with the rooms it may know: imports point down only, and siblings do not
 * know each other. A new folder gets its row here; without one it may neither import nor be imported.
 */
const mayKnow = {
  base: [],
  protocol: ["base"],
  guards: ["protocol", "base"],
  identity: ["protocol", "base"],
  proposals: ["identity", "protocol", "base"],
  ratings: ["proposals", "identity", "protocol", "base"],
  client: ["proposals", "guards", "identity", "protocol", "base"],
  backbone: ["protocol", "base"],
  server: ["proposals", "backbone", "guards", "identity", "protocol", "base"],
  daemon: ["client", "proposals", "guards", "identity", "protocol", "base"],
  cli: [
    "daemon",
    "client",
    "server",
    "ratings",
    "proposals",
    "backbone",
    "guards",
    "identity",
    "protocol",
    "base",
  ],
}

/** Rooms that compute and never act: no module of Node's, not even through another room. */
const pureRooms = ["protocol", "guards"]

/** Where processes begin and where the package is entered; everything else must be reached from here. */
const entries = [
  "bin/agentchat.ts",
  "src/index.ts",
  "src/daemon/process/host-main.ts",
  "src/backbone/sql/worker.ts",
]

const anyOf = (/** @type {readonly string[]} */ names) => `(${names.join("|").replaceAll(".", "\\.")})`
const inRooms = (/** @type {readonly string[]} */ names) => `^src/${anyOf(names)}/`
const rooms = Object.keys(mayKnow)

const layers = Object.entries(mayKnow).map(([room, known]) => ({
  name: `${room}-looks-down`,
  comment: `src/${room} may know ${known.length === 0 ? "no other room" : known.join(", ")}`,
  severity: /** @type {const} */ ("error"),
  from: { path: inRooms([room]) },
  to: { path: "^(src|bin)/", pathNot: inRooms([room, ...known]) },
}))

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    ...layers,
    {
      name: "bin-knows-cli",
      comment: "bin/ is a doorstep: it starts the command line and nothing else",
      severity: "error",
      from: { path: "^bin/" },
      to: { path: "^src/", pathNot: inRooms(["cli"]) },
    },
    {
      name: "package-entry-shows-the-client",
      comment: "src/index.ts exports the library: the client and what it speaks in",
      severity: "error",
      from: { path: "^src/index\\.ts$" },
      to: { path: "^src/", pathNot: inRooms(["client", "proposals", "identity", "protocol", "base"]) },
    },
    {
      name: "no-unknown-room",
      comment: "a folder of src/ without a row in mayKnow",
      severity: "error",
      from: {},
      to: { path: "^src/", pathNot: [inRooms(rooms), `^${anyOf(entries)}$`] },
    },
    {
      name: "pure-rooms-do-nothing",
      comment: "rules and declarations get time, chance and stores passed in",
      severity: "error",
      from: { path: inRooms(pureRooms) },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "pure-rooms-reach-nothing",
      comment: "nor do they act through a room below",
      severity: "error",
      from: { path: inRooms(pureRooms) },
      to: {
        path: `^(node:)?${anyOf(["child_process", "crypto", "dgram", "fs", "http", "https", "net", "os", "tls"])}(/|$)`,
        reachable: true,
      },
    },
    {
      name: "ws-through-base",
      comment: "src/base/websocket.ts loads ws the cheap way",
      severity: "error",
      from: { path: "^(src|bin)/", pathNot: "^src/base/websocket\\.ts$" },
      to: { path: "node_modules/(@types/)?ws/" },
    },
    {
      name: "no-dev-dependency",
      comment: "an installed package has no development dependencies",
      severity: "error",
      from: { path: "^(src|bin)/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"], pathNot: "node_modules/@types/" },
    },
    {
      name: "no-unresolvable",
      comment: "an import that leads nowhere",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "no-cycle",
      comment: "nor one of types only: two modules that need each other are one module",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-orphan",
      comment: "a module that no process and no user of the package reaches",
      severity: "error",
      from: { path: `^${anyOf(entries)}$` },
      to: { path: "^(src|bin)/", pathNot: `^${anyOf(entries)}$`, reachable: false },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsConfig: { fileName: "tsconfig.json" },
    // Type-only imports count: they are knowledge too.
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default", "types"],
    },
  },
}
