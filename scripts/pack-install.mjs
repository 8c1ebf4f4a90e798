import { execFileSync } from "node:child_process"
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { readJson, root } from "./project.mjs"

/** @typedef {{ packages: Record<string, { dev?: boolean, devOptional?: boolean }> }} Lock */

/**
 * Packs the project as it would be published. dist/ must be built.
 * @param {string} folder - where the tarball goes
 * @returns {string} path of the tarball
 */
export function pack(folder) {
  // The gate has just built dist/; `prepack` would build it again.
  const args = ["pack", "--ignore-scripts", "--silent", "--pack-destination", folder]
  return join(folder, execFileSync("npm", args, { cwd: root, encoding: "utf8" }).trim())
}

/**
 * Installs a tarball of the project. The packages it depends on are taken from our own node_modules:
 * no network is needed, and the versions are the tested ones.
 * @param {string} tarball
 * @param {string} folder - an empty one
 */
export function install(tarball, folder) {
  const shared = [...shippedPackages(), "@types/node", "undici-types"].filter((name) =>
    existsSync(pathOf(name)),
  )
  const dependencies = Object.fromEntries(shared.map((name) => [name, `file:${pathOf(name)}`]))
  const manifest = { private: true, dependencies: { ...dependencies, agentchat: `file:${tarball}` } }
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest))
  const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
  execFileSync("npm", ["install", "--prefer-offline", "--install-links", ...quiet], { cwd: folder })
}

/** Names of the packages that a user of ours gets; one nested in another comes with that one. */
function shippedPackages() {
  const lock = /** @type {Lock} */ (readJson("package-lock.json"))
  const shipped = Object.entries(lock.packages).filter(
    ([, { dev, devOptional }]) => dev !== true && devOptional !== true,
  )
  return shipped.flatMap(([path]) => /^node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(path)?.[1] ?? [])
}

/** @param {string} name */
function pathOf(name) {
  return join(root, "node_modules", name)
}
