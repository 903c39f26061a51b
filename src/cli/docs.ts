/** docs/cli.md, made from the table. `node dist/cli/docs.js` writes it; a unit test compares. */
import { realpathSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { COUNTERS, EVENTS, named, PLAN, rowsOf, SUMMARY } from './capture-json.js'
import { groupsOf, optionSyntax } from './help.js'
import { COMMANDS, type CommandRow } from './table.js'

const INTRODUCTION = `# The command line

<!-- Made by node dist/cli/docs.js from src/cli/table.ts and src/cli/docs.ts: edit those. -->

\`ringtap <command> [options]\`. A letter that tcpdump has means what it means in tcpdump, in every command; other options are long and have
the names of the [library](library.md) without the unit, which the value carries. Letters may be joined (\`-qi eth0\`, \`-c10\`), long options
take \`--ring 1G\` or \`--ring=1G\`, and \`--\` ends the options. \`ringtap <command> --help\` prints what stands here.

Data goes to stdout, everything else to stderr; with \`-w -\` packets go to stdout, and all else, JSON too, to stderr.
`

const REFERENCE = `## Values

| value | forms | meaning |
|---|---|---|
| SIZE | \`4096\`, \`64K\`, \`256M\`, \`1.5G\`, \`1MiB\`, \`1MB\` | bytes; K, M, G and T are powers of 1024 |
| KIB | \`4096\`, \`4M\` | as SIZE, but a number without a unit is KiB, as with tcpdump's \`-B\` |
| SIZE of \`-C\` | \`100\`, \`64K\`, \`1G\` | as SIZE, but a number without a unit is millions of bytes, as with tcpdump's \`-C\` |
| TIME | \`500us\`, \`60ms\`, \`2s\`, \`1.5s\`, \`5min\`, \`1h\` | where the options speak of seconds, minutes or hours (\`--duration\`, \`--interval\`, \`--seconds\`, \`--warmup\`) a number without a unit is seconds; elsewhere the unit is needed, but for \`0\` |
| PPS | \`1000\`, \`500k\`, \`2M\`, \`2Mpps\` | packets a second; k, M and G are powers of 1000 |
| BITS | \`64bit\`, \`100Mbit\`, \`1Gbps\`, \`1.5Gbit/s\` | bits a second; k, M and G are powers of 1000 |
| FACTOR | \`2\`, \`0.5\` | so many times as much |
| N | \`1000\`, \`10k\`, \`10M\` | a count; k, M and G are powers of 1000 |
| TIME@RATE | \`500ms@2Mpps\` | a ring that holds this much time of minimum-size packets at this rate |
| WHEN | \`2026-11-20\`, \`2026-11-20 15:38\`, \`2026-11-20T15:38:19.000000001Z\`, \`2026-11-20T15:38:19+01:00\`, \`1700000000.5\` | a time, to the nanosecond: of this machine's zone where none is said; a number is seconds since 1970 |
| CPUS | \`0,1\`, \`0-3,6\` | CPU numbers |

## Exit status and signals

| status | meaning |
|---|---|
| 0 | done |
| 1 | failed while it ran, or could not begin: no such interface or namespace, interface down, a handler that throws, a file that is not there or damaged |
| 2 | usage: an option that does not exist, a value that is not of its kind or that the library refuses |
| 3 | permission (a capability is missing) or unsupported (platform, link type) |

\`ringtap doctor\` and \`ringtap size\` answer with it: what 1 and 3 mean there stands with them. A doctor that could examine nothing ends with 2.

| signal | |
|---|---|
| SIGINT, SIGTERM, SIGHUP | ends a command as its own end would: what is in the ring is read, the summary is printed, files are complete and have their names, the status is 0; but a file that \`read -w\` was to replace stays, with what was written beside it (\`NAME.partial\`), and the status is 1. A second SIGINT or SIGTERM ends the process at once (130, 143 in a shell) |
| SIGUSR1 | \`capture\` prints the counts so far on stderr, in the lines of the summary (with \`--json\` the event \`counters\`); with \`--before\` it is a trigger. Elsewhere nothing |
| SIGUSR2 | tcpdump writes out what it has buffered; \`capture -w\` does so by itself, and says after how long at most. Elsewhere nothing |

SIGHUP is ignored where it was when the command was started, as under nohup(1). Node.js hides that from its programs; it is told by nohup's name in the environment
variable \`_\` (bash sets it), by a parent process that ignores SIGHUP, such as a script that nohup has started, and by a stdin that nohup has made unreadable, as it does on a
terminal. Where none of these is to be seen (nohup in a script of dash, with stdin redirected, say) \`setsid\` keeps the terminal's SIGHUP away.

These hold from the command's first line on. Node.js takes some 40 ms to come to it: a SIGINT, SIGTERM or SIGHUP that comes sooner ends the process, and so may SIGUSR1 and SIGUSR2; a debugger
that Node.js opens at such a SIGUSR1 is closed again.

When nobody reads stdout any more, as in \`ringtap capture -i eth0 | head -3\`, the command ends without a word about it.

An error is one line on stderr, and a second one with the next thing to try; of a filter also the expression, with carets below what is wrong. \`RINGTAP_DEBUG=1\` adds the stack.

## JSON

With \`--json\` stdout has one JSON document a line, each with a \`type\`; \`interfaces\`, \`filter\`, \`tune\` and \`bench\` print one document in all. Times are in the unit
that ends the name, other numbers are packets or bytes. The names are a contract: a version of ringtap may add some, and takes none away.

### ringtap capture --json

| \`type\` | when | fields |
|---|---|---|
| \`start\` | once, when packets flow | the plan: ${named(PLAN)}; null is "not given" |
| \`interval\` | each \`--interval\`, not with \`-q\` | counters of this interval alone; \`packetsPerSecond\`, \`bitsPerSecond\`, \`dropsPerSecond\`; \`total\`: counters since the start; \`cpus\`: load of each CPU of the machine (\`cpu\`; \`user\`, \`nice\`, \`system\`, \`idle\`, \`iowait\`, \`irq\`, \`softirq\`, \`steal\`, shares of 1) |
| \`event\` | when it happens | \`event\`: ${named(EVENTS)} |
| \`snapshot\` | at the end, with a handler that has snapshots | \`value\`: the workers' last snapshots, merged; a Map becomes an object (or a list of pairs, if its keys are not text or numbers), a Set or typed array a list |
| \`summary\` | last; of a capture that an error ends, before that | ${named(SUMMARY)}, counters since the start, \`cpus\` as above over the whole capture; with \`--ledger\` \`ledger\`: \`settled\`, \`rows\` (\`place\`, \`kind\`, \`label\`, \`count\`, \`name\`, \`metric\`, \`labels\`, \`source\`), \`interfaces\` (\`interface\`, \`in\`, \`lost\`, \`left\`, \`delivered\`, \`byDifference\`, \`residual\`, \`caveats\`), \`sockets\` (\`offered\`, \`dropped\`, \`delivered\`, \`waiting\`, \`residual\`), \`residual\`, \`unread\`: see [ledger.md](ledger.md) |
| \`error\` | last, when it failed; without a summary when it could not begin | \`code\` (as in the library; \`USAGE\` is the command line's own, null anything unforeseen), \`message\`, \`hint\` |

Counters, of an interval or in all:

| field | meaning |
|---|---|
${rowsOf(COUNTERS)}

### ringtap interfaces --json

One document: \`type\` is \`interfaces\`, \`interfaces\` a list of \`name\`, \`index\`, \`state\` (\`up\`, \`down\`, \`no-carrier\`, or the kernel's word for others), \`up\`
(administratively), \`operState\` (the kernel's word), \`mac\`, \`mtu\`, \`driver\`, \`kind\` (\`veth\`, \`bridge\`, …), \`speedMbps\`, \`rxQueues\`, \`txQueues\`, \`linkType\`
(ARPHRD), \`netns\`. What is not known is null.

With \`-v\` each has the fields of \`InterfaceFacts\` of [ringtap/host](library.md#facts-of-the-host) and \`state\`.

### ringtap rate --json

\`interval\` lines: \`interface\`, \`seconds\` (of this interval), \`rx\` and \`tx\`, each with \`packets\`, \`bytes\`, \`drops\` of this interval and
\`packetsPerSecond\`, \`bitsPerSecond\`, \`dropsPerSecond\`; \`total\`: \`seconds\`, \`rx\` and \`tx\` since the start. RX drops are the kernel's rx_dropped, rx_missed, rx_fifo and
rx_over.

### ringtap count --json

| \`type\` | when | fields |
|---|---|---|
| \`start\` | once, when every packet that arrives is counted | \`interfaces\`: \`interface\`, \`mode\` (\`native\` or \`generic\`), \`tried\` (\`mode\` and \`reason\` of each that did not go); \`netns\` (null is "not given"), \`drop\`, \`promiscuous\` |
| \`interval\` | each \`--interval\`, and what is left at the end; not with \`-q\` | of this interval alone: \`seconds\`, \`packets\`, \`bytes\`, \`packetsPerSecond\`, \`bitsPerSecond\`, \`classes\` (\`tcpSyn\`, \`tcp\`, \`udp\`, \`icmp\`, \`fragment\`, \`ipv4\`, \`ipv6\`, \`arp\`, \`other\`, each with \`packets\` and \`bytes\`), \`cpus\` (\`cpu\`, \`packets\`, \`bytes\`, \`classes\`; those that counted something), \`interfaces\` (\`interface\`, \`up\`, \`packets\`, \`bytes\`); \`total\`: \`seconds\`, \`packets\`, \`bytes\`, \`classes\` since the start |
| \`event\` | when it is seen | \`event\`: \`interface-down\` or \`interface-up\` (\`interface\`) |
| \`summary\` | last; of a capture that an error ends, before that | \`seconds\`, \`packets\`, \`bytes\`, \`classes\`, \`cpus\`, \`interfaces\` (with \`mode\` and \`tried\`), all exact; \`cpuUserMs\` and \`cpuSystemMs\` of the whole process |
| \`error\` | instead of the summary | as with capture; \`INTERFACE_REMOVED\` when the interface went away |

### ringtap filter --json

One document: \`type\` is \`filter\`, \`text\` the expression, \`linkType\`, \`instructions\` a list of \`[code, jt, jf, k]\`, \`explanation\` and, with \`--ebpf\`, \`ebpf\`
lists of lines.

### ringtap flood --json

\`start\` (\`interface\`, \`kind\`, \`frameBytes\`, \`ratePps\`, null for as many as go), \`interval\` (\`seconds\`, \`packets\`, \`packetsPerSecond\`, \`total\`: \`seconds\`, \`packets\`) and
at the end \`summary\` (\`seconds\`, \`packets\`, \`bytes\`, \`packetsPerSecond\`, \`cpus\`: \`cpu\`, \`packets\`). \`packets\` of the summary is exact.

### ringtap read --json

A document a packet: \`type\` is \`packet\`, \`number\`, \`file\` (of several), \`interface\` (its name, or its place in the file), \`linkType\`, \`time\` (UTC with nanoseconds,
null without a time stamp), \`capturedLength\`, \`wireLength\`; and where the packet has them \`sourceMac\`, \`destinationMac\`, \`etherType\`, \`vlanIds\`, \`mplsLabels\`,
\`pppoeSession\`, \`arpOperation\`, \`ipVersion\`, \`source\`, \`destination\`, \`protocol\`, \`ttl\`, \`fragmentOffset\`, \`moreFragments\`, \`sourcePort\`, \`destinationPort\`, \`tcpFlags\` (in
tcpdump's letters), \`tcpSequence\`, \`tcpAcknowledgement\`, \`tcpWindow\`, \`icmpType\`, \`icmpCode\`, \`payloadLength\`, \`problem\` (\`cut\`, \`malformed\`), \`direction\` (\`in\`, \`out\`),
\`dropCount\`, \`comment\`. Instead of them \`count\` (\`packets\`) with \`--count\`; \`info\`, one a file, with \`--info\`: the fields of \`captureFileInfo\` in [files.md](files.md#what-a-file-holds),
times as text, \`damage\` as an \`error\`; \`summary\` (\`file\`, \`packets\`, \`packetsLeftOut\`, \`packetsDated\`, \`blocksLeftOut\`, \`isWhole\`) with \`-w\`. Of damage there is an \`error\` as well.

### ringtap replay --json

\`start\` (\`file\`, \`interface\`, \`backend\`, \`ringVersion\`: 3 or 2, null without a ring, \`qdiscBypass\`), \`interval\` each second, not with \`-q\` (of this interval
\`seconds\`, \`sent\`, \`sentBytes\`, \`refused\`, \`packetsPerSecond\`, \`bitsPerSecond\`; \`total\`: \`seconds\` and the counters since the start) and at the end \`summary\`: the
counters, \`seconds\`, \`packetsPerSecond\`, \`bitsPerSecond\`, \`rounds\`, \`reason\` (\`end\`, \`limit\`, \`aborted\`, \`failed\`: the \`error\` that follows) and, not with
\`failed\`, \`maxErrorNs\` and \`meanErrorNs\` (how late packets were handed over), \`slips\` and \`slippedNs\` (delays that were given up). Counters: \`packets\` taken
from the file = \`sent\` + \`refused\`; \`sentBytes\`, \`sentTruncated\`, \`waits\` (times that the interface had no room); \`refusals\`: \`tooLong\`, \`tooShort\`, \`truncated\`, \`linkType\`, \`down\`, \`noRoom\`, \`invalid\`. While it runs, what is on
its way to the kernel is neither sent nor refused yet.

### ringtap tune --json

One document, by action: \`tuning\` (show: \`host\` and \`interface\`, all that is known of them, \`journal\`: \`path\`, \`since\`, \`problem\`, null without one), \`tuning-plan\`
(\`goal\`, \`interface\`, \`netns\`, \`cpus\`, \`cpusWhy\`, \`steps\`, \`remarks\`, \`afresh\`, \`defaultRoute\`, \`unread\`), \`tuning-applied\` (\`applied\`: steps, \`refused\`: \`step\` and \`reason\`, \`plan\`:
what is left, \`journal\`: its path), \`tuning-reverted\` (\`interface\`, \`netns\`, \`since\`: null when there was nothing to revert, \`restored\` and \`gone\`: settings,
\`left\`: \`settings\` and \`journal\` of another interface that keeps them, \`isAbsent\`: true of an interface that has gone, \`orphans\`: \`name\`, \`netns\` if it was asked for, and \`journal\` of others that have). A step: \`id\`, \`subject\`, \`what\`,
\`from\`, \`to\`, \`why\`, \`command\`, \`change\` (\`kind\`, \`value\`, and \`name\`, \`queue\` or \`cpu\`), \`hostWide\`, \`mayFlap\`. A remark: \`status\` (\`in-place\`, \`unsupported\`, \`left\`, \`by-hand\`),
\`subject\`, \`what\`, \`why\`, \`command\` (of \`by-hand\`). \`unread\`: \`what\`, \`source\`, \`reason\`.

### ringtap bench --json

See [the ladder](ladder.md).
`

export function commandLineDocument(): string {
  return [INTRODUCTION, ...COMMANDS.map(commandSection), REFERENCE].join('\n')
}

function commandSection(command: CommandRow): string {
  const lines = [`## ringtap ${command.name}`, '', `\`${command.usage}\``, '']
  for (const paragraph of command.doc) lines.push(paragraph, '')
  if (command.actions !== undefined)
    lines.push('| Action | |', '|---|---|', ...command.actions.map(([action, meaning]) => `| ${code(action)} | ${cell(meaning)} |`), '')
  for (const group of groupsOf(command)) {
    lines.push(`| ${group} | default | |`, '|---|---|---|')
    for (const option of command.options) {
      if (option.group === group) lines.push(`| ${code(optionSyntax(option))} | ${cell(option.default ?? option.libraryDefault ?? '')} | ${cell(option.doc)} |`)
    }
    lines.push('')
  }
  lines.push('```', ...command.examples.map(([example, meaning]) => `${example}   # ${meaning}`), '```', '')
  return lines.join('\n')
}

function code(text: string): string {
  return `\`${cell(text)}\``
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  writeFileSync(new URL('../../docs/cli.md', import.meta.url), commandLineDocument())
}
