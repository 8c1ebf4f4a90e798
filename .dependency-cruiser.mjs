/**
 * The folders of src/, each with the folders it may import: imports point down only, and siblings do not know each
 * other. A new folder gets its row here; without one it may neither import nor be imported.
 */
const mayImport = {
  base: [],
  protocol: ["base"],
  guards: ["protocol", "base"],
  identity: ["protocol", "base"],
  proposals: ["identity", "protocol", "base"],
  ratings: ["proposals", "identity", "protocol", "base"],
  grants: ["identity", "protocol", "base"],
  coordination: ["identity", "protocol", "base"],
  client: ["proposals", "guards", "identity", "protocol", "base"],
  backbone: ["protocol", "base"],
  tracing: ["base"],
  server: ["coordination", "proposals", "backbone", "guards", "grants", "identity", "protocol", "base"],
  daemon: ["client", "proposals", "guards", "identity", "protocol", "base"],
  harness: ["tracing", "daemon", "client", "proposals", "guards", "identity", "protocol", "base"],
  mcp: ["protocol", "base"],
  web: ["client", "ratings", "proposals", "identity", "protocol", "base"],
  cli: [
    "harness",
    "mcp",
    "web",
    "daemon",
    "client",
    "server",
    "ratings",
    "proposals",
    "backbone",
    "tracing",
    "guards",
    "grants",
    "identity",
    "protocol",
    "base",
  ],
}

/**
 * The sub-folders with the parts of the same folder that each may import; "." is the folder's own files. Whatever is
 * not listed here, such as another engine of the backbone or another command, is none of their business.
 */
const mayImportWithin = {
  backbone: {
    memory: ["."],
    sql: [".", "memory"],
    nats: ["."],
    queue: ["."],
  },
  guards: { rules: ["."] },
  client: { deals: ["."] },
  server: {
    wire: ["sessions"],
    sessions: ["wire", "channels", "delivery", "roster"],
    roster: ["wire", "sessions", "channels"],
    channels: ["wire", "sessions", "roster", "delivery"],
    delivery: ["wire", "sessions", "roster", "channels"],
    guards: [".", "delivery", "tasks"],
    tasks: ["wire", "sessions", "delivery", "guards"],
    deals: ["sessions", "roster", "delivery", "guards"],
    claims: ["sessions", "roster"],
    coordination: [".", "sessions", "roster", "channels", "delivery", "guards", "grants", "moderation"],
    moderation: [".", "sessions", "channels"],
    grants: [".", "moderation", "roster"],
    handlers: [".", "wire", "sessions", "roster", "channels", "delivery", "guards"],
  },
  daemon: {
    files: [],
    inbox: ["files"],
    hooks: [".", "files", "inbox"],
    guards: [".", "inbox", "session"],
    outbox: ["files", "delivery", "guards"],
    delivery: ["files", "inbox", "outbox", "guards", "session", "wake"],
    wake: ["files", "inbox", "session", "process"],
    session: ["files", "inbox", "outbox", "delivery", "guards"],
    deals: ["files", "inbox", "session"],
    claims: ["files"],
    process: [".", "files"],
  },
  harness: {
    config: ["."],
    install: [".", "config"],
    hooks: ["."],
    wake: ["."],
  },
  web: {
    // The page runs in a browser, and knows only the types of what the server sends.
    page: ["."],
  },
  cli: {
    input: ["."],
    output: [".", "daemon"],
    completion: ["."],
    service: ["."],
    relay: [".", "input", "output", "daemon"],
    daemon: [".", "input", "relay"],
    chat: [".", "output"],
    receipts: [".", "input", "output"],
    ratings: [".", "input", "output", "relay", "daemon", "receipts"],
    deals: [".", "input", "output", "relay", "daemon", "receipts"],
    guards: [".", "output", "relay", "daemon"],
    hooks: [".", "output", "daemon"],
    harness: [".", "input", "output"],
    log: [".", "input", "output", "relay", "daemon"],
    doctor: [".", "output", "daemon", "harness"],
    mcp: [".", "input", "output", "relay", "daemon", "deals", "hooks", "commands"],
    web: ["."],
    commands: [
      ...[".", "web", "input", "output", "relay", "daemon", "chat", "completion", "service"],
      ...["receipts", "ratings", "deals", "guards", "hooks", "harness", "log", "doctor", "mcp"],
    ],
  },
}

/** Folders that compute and never act: no module of Node.js, not even through another folder. */
const pureFolders = ["protocol", "guards"]

/** Entry points of processes and of the package; everything else must be reachable from them. */
const entries = [
  "bin/agentchat.ts",
  "src/index.ts",
  "src/harness/host-main.ts",
  "src/backbone/sql/worker.ts",
  "src/web/page/main.js",
]

const anyOf = (/** @type {readonly string[]} */ names) => `(${names.join("|").replaceAll(".", "\\.")})`
const inFolders = (/** @type {readonly string[]} */ names) => `^src/${anyOf(names)}/`
const folders = Object.keys(mayImport)

const layers = Object.entries(mayImport).map(([folder, imports]) => ({
  name: `${folder}-imports-down`,
  comment: `src/${folder} may import ${imports.length === 0 ? "no other folder" : imports.join(", ")}`,
  severity: /** @type {const} */ ("error"),
  from: { path: inFolders([folder]) },
  to: { path: "^(src|bin)/", pathNot: inFolders([folder, ...imports]) },
}))

const subLayers = Object.entries(mayImportWithin).flatMap(([folder, parts]) =>
  Object.entries(parts).map(([part, imports]) => ({
    name: `${folder}-${part}-imports`,
    comment: `src/${folder}/${part} may import within src/${folder}: ${imports.join(", ") || "nothing"}`,
    severity: /** @type {const} */ ("error"),
    from: { path: `^src/${folder}/${part}/` },
    to: {
      path: `^src/${folder}/`,
      pathNot: [part, ...imports].map((name) =>
        name === "." ? `^src/${folder}/[^/]+$` : `^src/${folder}/${name}/`,
      ),
    },
  })),
)

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    ...layers,
    ...subLayers,
    {
      name: "bin-imports-cli",
      comment: "bin/ starts the command line and does nothing else",
      severity: "error",
      from: { path: "^bin/" },
      to: { path: "^src/", pathNot: inFolders(["cli"]) },
    },
    {
      name: "package-entry-exports-the-client",
      comment: "src/index.ts exports the library: the client and its types",
      severity: "error",
      from: { path: "^src/index\\.ts$" },
      to: { path: "^src/", pathNot: inFolders(["client", "proposals", "identity", "protocol", "base"]) },
    },
    {
      name: "no-unknown-folder",
      comment: "a folder of src/ without a row in mayImport",
      severity: "error",
      from: {},
      to: { path: "^src/", pathNot: [inFolders(folders), `^${anyOf(entries)}$`] },
    },
    {
      name: "pure-folders-use-no-node",
      comment: "rules and declarations get time, randomness and stores passed in",
      severity: "error",
      from: { path: inFolders(pureFolders) },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "pure-folders-reach-no-node",
      comment: "nor do they act through a folder below",
      severity: "error",
      from: { path: inFolders(pureFolders) },
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
      comment: "nor a cycle of types: two modules that need each other are one module",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-orphan",
      comment: "a module that no entry point reaches",
      severity: "error",
      from: { path: `^${anyOf(entries)}$` },
      to: { path: "^(src|bin)/", pathNot: `^${anyOf(entries)}$`, reachable: false },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsConfig: { fileName: "tsconfig.json" },
    // Type-only imports count: they are dependencies too.
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default", "types"],
    },
  },
}
