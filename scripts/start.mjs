// `npm start`: takes a fresh clone to a running relay and daemon. Other arguments go to `agentchat up`.
import { join } from "node:path"
import process from "node:process"
import { root } from "./project.mjs"
import { requireNode, run } from "./run.mjs"

requireNode()
const program = join(root, "dist", "bin", "agentchat.js")
const steps = [
  [join(root, "scripts", "install.mjs")],
  [join(root, "scripts", "build.mjs"), "--if-stale"],
  [program, "up", ...process.argv.slice(2)],
]
for (const step of steps) {
  process.exitCode = run("node", step)
  if (process.exitCode !== 0) break
}
