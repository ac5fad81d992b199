"""Label Studio: labeling configurations, results, predictions, the API client and a local server.

``codec``, ``config`` and ``validation`` are pure; only ``client`` needs the Label Studio SDK.
"""
