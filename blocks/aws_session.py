"""With which credentials of the environment, and in which region, is AWS asked?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from blocks.aws_errors import why_failed
from tasks.domain.errors import LakeError

if TYPE_CHECKING:  # importing boto3 takes half a second, and only some commands need it
    import boto3


def session_of_environment() -> boto3.Session:
    """The credentials and the region that the environment names. Raises LakeError if there is no such profile.

    AWS_REGION names the region, as for other programs; boto3 itself knows only AWS_DEFAULT_REGION.
    """
    import boto3
    from botocore.exceptions import BotoCoreError

    region = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
    try:
        return boto3.Session(region_name=region or None)
    except BotoCoreError as error:
        raise LakeError(f"the AWS credentials cannot be used: {why_failed(error, 's3')}") from None
