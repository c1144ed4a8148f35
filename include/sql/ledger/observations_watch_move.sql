UPDATE observation_watch SET watermark = greatest(watermark, %(watermark)s) WHERE name = %(name)s
