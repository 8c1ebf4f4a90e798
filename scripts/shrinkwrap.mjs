// Writes npm-shrinkwrap.json, which pins what a user installs, and removes it again: `npm pack` and `npm publish` call
// this, so that the file is in the tarball and never in the checkout, where npm would prefer it to package-lock.json.
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { pathToFileURL } from "node:url"
import { readJson, root } from "./project.mjs"

/** @typedef {{ packages: Record<string, { dev?: boolean, devOptional?: boolean, devDependencies?: unknown }> }} Lock */

const path = join(root, "npm-shrinkwrap.json")

/** Returns the part of package-lock.json that a user installs, as an object of packages and as text. */
export function pinnedLock() {
  const lock = /** @type {Lock} */ (readJson("package-lock.json"))
  const { "": project = {}, ...packages } = lock.packages
  const { devDependencies: _, ...shipped } = project
  const installed = Object.entries(packages).filter(
    ([, { dev, devOptional }]) => dev !== true && devOptional !== true,
  )
  const pinned = { "": shipped, ...Object.fromEntries(installed) }
  return { packages: pinned, text: `${JSON.stringify({ ...lock, packages: pinned }, undefined, 2)}\n` }
}

export function writeShrinkwrap() {
  writeFileSync(path, pinnedLock().text)
}

export function removeShrinkwrap() {
  rmSync(path, { force: true })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  if (process.argv[2] === "remove") removeShrinkwrap()
  else writeShrinkwrap()
}
