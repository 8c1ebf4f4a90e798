/** The source of the plugins that some harnesses load in place of hooks. It is JavaScript, and valid TypeScript. */
import type { Harness } from "../harness.js"
import type { FileRequest } from "./spec.js"

/** Returns the head of a plugin: the function `hook`, which runs the command and never fails. */
export function pluginHead(harness: Harness, { program, claims }: FileRequest): string {
  return `// Written by agentchat install, removed by agentchat uninstall. Your changes would be lost with the next version.
import { spawn } from "node:child_process"

const command = ${JSON.stringify([program.node, program.script])}
/** The reaction to an edit of a path that another agent has claimed; null for none. */
const claims = ${JSON.stringify(claims ?? null)}

/** Passes an event to agentchat. Resolves to {} whatever goes wrong: the session must go on. */
function hook(event, payload, extra = []) {
  return new Promise((resolve) => {
    try {
      const [program, ...args] = command
      const child = spawn(program, [...args, "hook", event, "--harness", "${harness}", ...extra], {
        cwd: payload.cwd,
        stdio: ["pipe", "pipe", "ignore"],
        timeout: 10000,
      })
      let text = ""
      child.stdout.on("data", (chunk) => (text += chunk))
      child.stdin.on("error", () => {})
      child.on("error", () => resolve({}))
      child.on("close", () => {
        try {
          const answer = JSON.parse(text)
          resolve(answer !== null && typeof answer === "object" ? answer : {})
        } catch {
          resolve({})
        }
      })
      child.stdin.end(JSON.stringify(payload))
    } catch {
      resolve({})
    }
  })
}
`
}
