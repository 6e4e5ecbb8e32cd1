/// What runs inside Redis. A stream is a log (a Redis Stream with one field per entry, its ids being `offset-0`) and a
/// head (a hash):
///
/// | field of the head | holds |
/// |---|---|
/// | `epoch` | identity of this life of the log: microseconds at its beginning, always larger than any earlier one |
/// | `newest` | offset of the newest record ever stored in this epoch |
/// | `bytes` | bytes ever stored in this epoch |
/// | `s<k>` | offset of the first record after `k` segments' worth of bytes: where to cut when the log is too large |
/// | `w<node>.<incarnation>` | a writer's last sequence, the offset of that record, and the second of its storing |
///
/// An entry's value is the record's key (node, incarnation, sequence: 8 bytes each, big-endian) and behind it the
/// record's bytes. Positions are the only thing that an append answers.
package enum LogScript: CaseIterable, Hashable, Sendable {
    case append, attach, read

    package var text: String {
        switch self {
        case .append: Self.beginning + Self.appending
        case .attach: Self.beginning + Self.attaching
        case .read: Self.reading
        }
    }

    /// Starts a new life of the log, under an epoch above all that anybody remembers.
    private static let beginning = """
        local log, head = KEYS[1], KEYS[2]
        local function text(number) return string.format('%.0f', number) end
        local function begin(above)
          local time = redis.call('TIME')
          local epoch = math.max(time[1] * 1000000 + time[2], above + 1)
          redis.call('DEL', log, head)
          redis.call('HSET', head, 'epoch', text(epoch), 'newest', '0', 'bytes', '0')
          return epoch
        end

        """

    /// ARGV: channel, writer's newest epoch and offset (0 0 for none), writer, time in seconds, records and bytes per
    /// segment to retain, then the records. Answers epoch and offset of the last record.
    private static let appending = """
        local seenEpoch, seenOffset = tonumber(ARGV[2]), tonumber(ARGV[3])
        local fields = redis.call('HMGET', head, 'epoch', 'newest', 'bytes', ARGV[4])
        local epoch, newest, bytes = tonumber(fields[1]), tonumber(fields[2]), tonumber(fields[3])
        local written = fields[4]
        if not epoch or seenEpoch > epoch or (seenEpoch == epoch and seenOffset > newest) then
          epoch, newest, bytes, written = begin(math.max(epoch or 0, seenEpoch)), 0, 0, false
        end

        local function sequence(record) return (struct.unpack('>I8', record, 17)) end
        local first, last = 8, sequence(ARGV[#ARGV])
        if written then
          local lastSequence, lastOffset = string.match(written, '^(%d+) (%d+)')
          lastSequence, lastOffset = tonumber(lastSequence), tonumber(lastOffset)
          if last == lastSequence then return { epoch, lastOffset } end
          if last < lastSequence then
            local key, at = string.sub(ARGV[#ARGV], 1, 24), lastOffset - (lastSequence - last)
            for _ = 1, 64 do
              local entries = redis.call('XREVRANGE', log, text(at), '-', 'COUNT', 64)
              for _, entry in ipairs(entries) do
                at = tonumber(string.match(entry[1], '^%d+'))
                if string.sub(entry[2][2], 1, 24) == key then return { epoch, at } end
              end
              at = at - 1
              if #entries < 64 or at < 1 then break end
            end
            return redis.error_reply('OUTOFORDER a later record of this writer is stored, and this one is not retained')
          end
          while sequence(ARGV[first]) <= lastSequence do first = first + 1 end
        end

        local added, parts = 0, { struct.pack('>BI8I8', 1, epoch, newest + 1) }
        for i = first, #ARGV do
          local record = ARGV[i]
          local id = redis.pcall('XADD', log, 'MAXLEN', '~', ARGV[6], text(newest + 1) .. '-0', 'r', record)
          if type(id) == 'table' then
            if not string.find(id.err, 'smaller', 1, true) then return id end
            begin(epoch)
            return redis.error_reply('TRYAGAIN log and head disagreed: a new epoch has begun')
          end
          newest = newest + 1
          added = added + #record
          parts[#parts + 1] = struct.pack('>I4', #record)
          parts[#parts + 1] = record
        end

        local segment = tonumber(ARGV[7])
        local before, after = math.floor(bytes / segment), math.floor((bytes + added) / segment)
        redis.call('HSET', head, 'newest', text(newest), 'bytes', text(bytes + added),
          ARGV[4], text(last) .. ' ' .. text(newest) .. ' ' .. ARGV[5])
        for k = before + 1, after do
          redis.call('HSET', head, 's' .. text(k), text(newest + 1))
          local edge = redis.call('HGET', head, 's' .. text(k - 16))
          if edge then
            redis.call('XTRIM', log, 'MINID', edge .. '-0')
            redis.call('HDEL', head, 's' .. text(k - 16))
          end
        end
        redis.call('PUBLISH', ARGV[1], table.concat(parts))
        return { epoch, newest }
        """

    /// ARGV: newest epoch, offset and record key that the caller has seen (0, 0, empty for none), the second before
    /// which writers are forgotten. Answers epoch, oldest and newest. Begins a new epoch when there is none, or when
    /// the log is not the one seen.
    private static let attaching = """
        local seenEpoch, seenOffset = tonumber(ARGV[1]), tonumber(ARGV[2])
        local fields = redis.call('HMGET', head, 'epoch', 'newest')
        local epoch, newest = tonumber(fields[1]), tonumber(fields[2])
        local isOther = not epoch or seenEpoch > epoch or (seenEpoch == epoch and seenOffset > newest)
        if not isOther and seenEpoch == epoch and seenOffset > 0 and ARGV[3] ~= '' then
          local entry = redis.call('XRANGE', log, ARGV[2], ARGV[2])[1]
          isOther = entry and string.sub(entry[2][2], 1, 24) ~= ARGV[3]
        end
        if isOther then
          epoch, newest = begin(math.max(epoch or 0, seenEpoch)), 0
        else
          local all = redis.call('HGETALL', head)
          for i = 1, #all, 2 do
            local stored = string.sub(all[i], 1, 1) == 'w' and tonumber(string.match(all[i + 1], '%d+$'))
            if stored and stored < tonumber(ARGV[4]) then redis.call('HDEL', head, all[i]) end
          end
        end
        local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
        return { epoch, oldest and tonumber(string.match(oldest[1], '^%d+')) or newest + 1, newest }
        """

    /// ARGV: the offset after which to read, and how many bytes of records. Answers epoch, oldest, newest, then offset
    /// and value of each record; nothing when there is no epoch.
    private static let reading = """
        local log, head = KEYS[1], KEYS[2]
        local fields = redis.call('HMGET', head, 'epoch', 'newest')
        if not fields[1] then return false end
        local newest = tonumber(fields[2])
        local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
        local answer = {
          tonumber(fields[1]), oldest and tonumber(string.match(oldest[1], '^%d+')) or newest + 1, newest,
        }
        local from, room, count = ARGV[1], tonumber(ARGV[2]), 4
        while true do
          local entries = redis.call('XRANGE', log, '(' .. from .. '-0', '+', 'COUNT', count)
          for _, entry in ipairs(entries) do
            room = room - #entry[2][2] + 24
            if room < 0 and #answer > 3 then return answer end
            answer[#answer + 1] = tonumber(string.match(entry[1], '^%d+'))
            answer[#answer + 1] = entry[2][2]
          end
          if #entries < count or room <= 0 then return answer end
          from = string.match(entries[#entries][1], '^%d+')
          count = math.min(count * 2, 256)
        end
        """
}
