import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { loadHandler } from '#src/capture/handler-module.js'

let folder: string
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'ringtap-handler-'))
})
after(() => rmSync(folder, { recursive: true }))

let files = 0
function module(source: string): string {
  const path = join(folder, `handler-${++files}.mjs`)
  writeFileSync(path, source)
  return pathToFileURL(path).href
}

async function refused(source: string, message: RegExp): Promise<void> {
  const url = module(source)
  await assert.rejects(loadHandler(url), (error: Error & { code: string; hint: string }) => {
    assert.equal(error.code, 'HANDLER_NOT_LOADED')
    assert.match(error.message, message)
    assert.match(error.message, /^handler \/.*handler-\d+\.mjs: /, 'names the file as a path')
    assert.doesNotMatch(error.message, /\n/)
    assert.match(error.hint, /defineHandler/)
    return true
  })
}

test('a handler, with all functions or none', async () => {
  const handler = await loadHandler(
    module('export default { open() { return 1 }, packet() {}, snapshot() {}, merge() {}, close() {}, needs: { rxhash: true } }'),
  )
  assert.equal(handler.needs?.rxhash, true)
  assert.equal(handler.open?.({} as never), 1)
  assert.deepEqual(await loadHandler(module('export default {}')), {})
})

test('open and close may be async', async () => {
  await loadHandler(module('export default { async open() {}, block() {}, async close() {} }'))
})

test('a file that does not exist', async () => {
  const url = pathToFileURL(join(folder, 'nowhere.mjs')).href
  await assert.rejects(loadHandler(url), { code: 'HANDLER_NOT_LOADED', message: /nowhere\.mjs: Cannot find module/ })
})

test('a file that is not JavaScript, or throws', async () => {
  await refused('export default {', /Unexpected/)
  await refused("throw new Error('no luck\\nsecond line')", /no luck/)
  await refused("throw 'a string'", /a string/)
})

test('no default export, or one of the wrong kind', async () => {
  await refused('export const packet = () => {}', /expected a default export that is an object, got undefined/)
  await refused('export default null', /got null/)
  await refused('export default function packet() {}', /got function/)
  await refused('export default 5', /got number/)
})

test('functions that are none', async () => {
  for (const name of ['open', 'packet', 'block', 'snapshot', 'merge', 'close'])
    await refused(`export default { ${name}: 5 }`, new RegExp(`expected ${name} to be a function`))
})

test('async where the packet would be gone', async () => {
  for (const name of ['packet', 'block', 'snapshot', 'merge']) await refused(`export default { async ${name}() {} }`, new RegExp(`${name} must not be async`))
})

test('packet and block at once', () => refused('export default { packet() {}, block() {} }', /both packet and block/))

test('a file in TypeScript where nothing strips its types: what to do', {
  skip: 'typescript' in process.features && process.features.typescript !== false,
}, async () => {
  const path = join(folder, 'handler.ts')
  writeFileSync(path, 'export default {}')
  await assert.rejects(loadHandler(pathToFileURL(path).href), {
    code: 'HANDLER_NOT_LOADED',
    hint: /name the compiled \.js, or run a Node\.js that strips types/,
  })
})
