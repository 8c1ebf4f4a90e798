import { execFileSync } from "node:child_process"
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./project.mjs"
import { pinnedLock, removeShrinkwrap, writeShrinkwrap } from "./shrinkwrap.mjs"

/**
 * Packs the project as for publishing. dist/ must be built.
 * @param {string} folder - where the tarball goes
 * @returns {string} path of the tarball
 */
export function pack(folder) {
  // The gate has just built dist/; skip `prepare`.
  const args = ["pack", "--ignore-scripts", "--silent", "--pack-destination", folder]
  writeShrinkwrap()
  try {
    return join(folder, execFileSync("npm", args, { cwd: root, encoding: "utf8" }).trim())
  } finally {
    removeShrinkwrap()
  }
}

/**
 * Installs a tarball of the project with its dependencies from our own node_modules, so that it needs no network and
 * uses the tested versions.
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

/** Returns the names of the packages that a user installs; a nested package comes with its parent. */
function shippedPackages() {
  const shipped = Object.keys(pinnedLock().packages)
  return shipped.flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(path)?.[1] ?? [])
}

/** @param {string} name */
function pathOf(name) {
  return join(root, "node_modules", name)
}
