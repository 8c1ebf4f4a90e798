/** Runs install and uninstall. The parsers and the texts of all harnesses are loaded only for this. */
import { HARNESSES, type Harness } from "../../harness/harness.js"
import { applyUnderLock } from "../../harness/install/apply.js"
import { type Plan, planInstall, planUninstall } from "../../harness/install/plan.js"
import { type InstallRecord, readRecord } from "../../harness/install/record.js"
import type { FileRequest, Scope } from "../../harness/install/spec.js"
import { harnessSpecs } from "../../harness/install/specs.js"
import type { Context } from "../context.js"
import { reportChanges } from "./install-report.js"
import { chosenHarnesses, fileRequest } from "./install-request.js"

/** Options of uninstall. */
interface UninstallOptions {
  readonly harness: Harness | "all" | undefined
  readonly scope: Scope
  readonly isDryRun: boolean
}

/** Options of install. */
interface InstallOptions extends UninstallOptions {
  readonly claims: FileRequest["claims"]
}

export function runInstall(
  context: Context,
  { harness, scope, claims, isDryRun }: InstallOptions,
): Promise<number> {
  const request = fileRequest(context, scope, claims)
  const specs = chosenHarnesses(context, harness, request)
  if (/[\\/]_npx[\\/]/.test(request.program.script)) {
    context.io.note(
      "npx may delete this copy of agentchat, and its hooks with it; better: npm install -g agentchat",
    )
  }
  const isNamed = harness !== undefined && harness !== "all"
  // Of all harnesses, those without files of a project are not meant.
  const meant = specs.filter(({ noProject }) => isNamed || scope === "user" || noProject === undefined)
  return run(context, request, isDryRun, true, function* (record) {
    for (const spec of meant) yield planInstall(spec, request, record)
  })
}

export function runUninstall(
  context: Context,
  { harness, scope, isDryRun }: UninstallOptions,
): Promise<number> {
  const request = fileRequest(context, scope, undefined)
  const names = harness === undefined || harness === "all" ? HARNESSES : [harness]
  return run(context, request, isDryRun, false, function* (record) {
    for (const name of names) yield planUninstall(harnessSpecs[name], request, record)
  })
}

async function run(
  context: Context,
  request: FileRequest,
  isDryRun: boolean,
  isInstall: boolean,
  plan: (record: InstallRecord) => Iterable<Plan>,
): Promise<number> {
  const { places } = request
  const { system, clock } = context
  if (!isDryRun) {
    const applied = await applyUnderLock(places, { pid: system.pid, clock }, plan)
    return reportChanges(context, { ...applied, isDryRun, isInstall }, places)
  }
  const plans = [...plan(readRecord(places))]
  const changes = plans.flatMap((one) => one.changes)
  // Harnesses that share a file would each add it.
  const once = changes.filter(
    ({ path }, index) => changes.findIndex((other) => other.path === path) === index,
  )
  const problems = plans.flatMap((one) => one.problems)
  return reportChanges(context, { changes: once, problems, isDryRun, isInstall }, places)
}
