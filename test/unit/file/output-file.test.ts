/** Under which name a file is written, and what happens to what had the name. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { CaptureError } from '#src/errors.js'
import { OutputFile } from '#src/file/output-file.js'
import { openKernel } from '#src/kernel/system.js'

const kernel = openKernel()

function inFolder(run: (folder: string) => Promise<void> | void): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ringtap-output-'))
    const descriptors = readdirSync('/proc/self/fd').length
    try {
      await run(folder)
      assert.equal(readdirSync('/proc/self/fd').length, descriptors, 'descriptors')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

function failedWith(errnoName: string) {
  return (error: unknown) => error instanceof CaptureError && error.code === 'FILE_FAILED' && error.errnoName === errnoName
}

test(
  'a new file is hidden until it is finished',
  inFolder(async (folder) => {
    const path = join(folder, 'a.pcap')
    const output = await OutputFile.open(kernel, path)
    writeSync(output.fd, 'x')
    assert.deepEqual(readdirSync(folder), [`.a.pcap.${process.pid}.part`])
    output.finish()
    output.finish()
    output.discard()
    assert.deepEqual(readdirSync(folder), ['a.pcap'])
    assert.equal(readFileSync(path, 'utf8'), 'x')
  }),
)

test(
  'a discarded file leaves nothing, and what had its name stays',
  inFolder(async (folder) => {
    const path = join(folder, 'a')
    writeFileSync(path, 'old')
    const output = await OutputFile.open(kernel, path)
    output.discard()
    assert.deepEqual([readdirSync(folder), readFileSync(path, 'utf8')], [['a'], 'old'])
  }),
)

test(
  'a file that is there is replaced when the new one is complete, and its permissions live on',
  inFolder(async (folder) => {
    const path = join(folder, 'a')
    writeFileSync(path, 'old')
    chmodSync(path, 0o640)
    linkSync(path, join(folder, 'other'))
    const output = await OutputFile.open(kernel, path)
    writeSync(output.fd, 'new')
    assert.equal(readFileSync(path, 'utf8'), 'old')
    output.finish()
    assert.deepEqual([readFileSync(path, 'utf8'), statSync(path).mode & 0o777, readFileSync(join(folder, 'other'), 'utf8')], ['new', 0o640, 'old'])
  }),
)

test(
  'two writers of one name do not get into each other: the last to finish has it',
  inFolder(async (folder) => {
    const path = join(folder, 'a')
    const outputs = [await OutputFile.open(kernel, path), await OutputFile.open(kernel, path)] as const
    writeSync(outputs[0].fd, 'first')
    writeSync(outputs[1].fd, 'second')
    outputs[1].finish()
    outputs[0].finish()
    assert.deepEqual([readdirSync(folder), readFileSync(path, 'utf8')], [['a'], 'first'])
  }),
)

test(
  'a symbolic link goes on pointing where it did, to a file or to none yet',
  inFolder(async (folder) => {
    mkdirSync(join(folder, 'there'))
    writeFileSync(join(folder, 'there/target'), 'old')
    symlinkSync('there/target', join(folder, 'link'))
    symlinkSync('link', join(folder, 'second'))
    symlinkSync('there/new', join(folder, 'dangling'))
    for (const [name, target] of [
      ['second', 'target'],
      ['dangling', 'new'],
    ]) {
      const output = await OutputFile.open(kernel, join(folder, name as string))
      writeSync(output.fd, name as string)
      assert.equal(readdirSync(join(folder, 'there')).filter((entry) => entry.startsWith('.')).length, 1)
      output.finish()
      assert.ok(lstatSync(join(folder, name as string)).isSymbolicLink())
      assert.equal(readFileSync(join(folder, 'there', target as string), 'utf8'), name)
    }
  }),
)

test(
  'devices are written as they are, and stay',
  inFolder(async (folder) => {
    symlinkSync('/dev/null', join(folder, 'null'))
    for (const path of ['/dev/null', join(folder, 'null')]) {
      const output = await OutputFile.open(kernel, path)
      assert.deepEqual([output.partPath, output.isRegular, output.guardedPath], [undefined, false, undefined])
      output.finish()
      assert.ok(statSync('/dev/null').isCharacterDevice())
    }
    assert.deepEqual(readdirSync(folder), ['null'])
  }),
)

test(
  'a FIFO is waited for until somebody reads it, and an abort ends the waiting',
  inFolder(async (folder) => {
    const path = join(folder, 'fifo')
    execFileSync('mkfifo', [path])
    await assert.rejects(OutputFile.open(kernel, path, AbortSignal.timeout(60)), { name: 'TimeoutError' })
    const opening = OutputFile.open(kernel, path)
    const reader = await open(path, 'r')
    const output = await opening
    writeSync(output.fd, 'through')
    output.finish()
    assert.equal(await reader.readFile('utf8'), 'through')
    await reader.close()
    assert.deepEqual(readdirSync(folder), ['fifo'])
  }),
)

test(
  '/dev/stdout that was redirected to a file is that file, not another in its place',
  inFolder((folder) => {
    const path = join(folder, 'out')
    const program = `
      import { OutputFile } from ${JSON.stringify(import.meta.resolve('#src/file/output-file.js'))}
      import { writeSync } from 'node:fs'
      const output = OutputFile.openNow('/dev/stdout')
      writeSync(output.fd, 'data')
      output.finish()`
    const { status, stderr } = spawnSync('sh', ['-c', `"$NODE" --input-type=module -e "$PROGRAM" > ${path}`], {
      env: { ...process.env, NODE: process.execPath, PROGRAM: program },
      encoding: 'utf8',
    })
    assert.equal(status, 0, stderr)
    assert.deepEqual([readdirSync(folder), readFileSync(path, 'utf8')], [['out'], 'data'])
  }),
)

test(
  'what cannot be written says why',
  inFolder(async (folder) => {
    await assert.rejects(OutputFile.open(kernel, folder), failedWith('EISDIR'))
    await assert.rejects(OutputFile.open(kernel, join(folder, 'no/such/file')), failedWith('ENOENT'))
    writeFileSync(join(folder, 'file'), '')
    await assert.rejects(OutputFile.open(kernel, join(folder, 'file/x')), failedWith('ENOTDIR'))
    await assert.rejects(OutputFile.open(kernel, '/proc/no-such-file'), failedWith('ENOENT'))
    await assert.rejects(OutputFile.open(kernel, join(folder, 'x'.repeat(300))), failedWith('ENAMETOOLONG'))
    symlinkSync('loop', join(folder, 'loop'))
    await assert.rejects(OutputFile.open(kernel, join(folder, 'loop')), failedWith('ELOOP'))
    assert.deepEqual(readdirSync(folder).sort(), ['file', 'loop'])
  }),
)

test(
  'a name as long as the file system takes has room for its hidden one',
  inFolder(async (folder) => {
    const name = `${'ä'.repeat(125)}.pcap`
    const output = await OutputFile.open(kernel, join(folder, name))
    output.finish()
    assert.deepEqual(readdirSync(folder), [name])
  }),
)

test(
  'a file that cannot get its name is there under the hidden one',
  inFolder(async (folder) => {
    const path = join(folder, 'a')
    const output = await OutputFile.open(kernel, path)
    mkdirSync(path)
    assert.throws(() => output.finish(), failedWith('EISDIR'))
    assert.ok(existsSync(output.partPath as string))
  }),
)

test(
  'without permission nothing is replaced; a file in a folder where none can be made is written in place',
  inFolder((folder) => {
    chmodSync(folder, 0o777)
    const own = join(folder, 'own')
    mkdirSync(own)
    writeFileSync(join(own, 'writable'), 'old')
    chmodSync(join(own, 'writable'), 0o666)
    chmodSync(own, 0o755)
    writeFileSync(join(folder, 'readonly'), 'old')
    chmodSync(join(folder, 'readonly'), 0o444)
    const program = `
      import { OutputFile } from ${JSON.stringify(import.meta.resolve('#src/file/output-file.js'))}
      import { writeSync } from 'node:fs'
      // As nobody, to whom permissions mean something.
      if (process.getuid() === 0) { process.setgroups([]); process.setgid(65534); process.setuid(65534) }
      for (const path of ${JSON.stringify(['readonly', 'own/new', 'own/writable'])}) {
        try {
          const output = OutputFile.openNow(process.argv[1] + '/' + path)
          writeSync(output.fd, 'new')
          output.finish()
          console.log('written')
        } catch (error) { console.log(error.code, error.errnoName) }
      }`
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program, folder], { encoding: 'utf8' })
    if (process.getuid?.() === 0) assert.equal(stdout, 'FILE_FAILED EACCES\nFILE_FAILED EACCES\nwritten\n', stderr)
    assert.equal(readFileSync(join(own, 'writable'), 'utf8'), 'new')
    assert.equal(readFileSync(join(folder, 'readonly'), 'utf8'), 'old')
  }),
)
